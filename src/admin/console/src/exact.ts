// JSON without loss: a number stays the text that it was, because 64-bit numbers do not fit into a double, and members keep
// their order and their repetitions.

export class ExactNumber {
    constructor(readonly text: string) {}
}
export type Member = [name: string, value: Exact];
export class ExactObject {
    constructor(readonly members: Member[]) {}
    find(name: string): Exact | undefined {
        return this.members.find((member) => member[0] === name)?.[1];
    }
}
export type Exact = null | boolean | string | ExactNumber | Exact[] | ExactObject;

const deepest = 200;

class Reader {
    private at = 0;
    constructor(private readonly text: string) {}

    document(): Exact {
        const value = this.value(0);
        this.skip();
        if (this.at < this.text.length) this.fail();
        return value;
    }

    private fail(): never {
        throw new SyntaxError(`not JSON, at character ${this.at + 1}`);
    }

    private skip() {
        while (" \t\r\n".includes(this.text[this.at] ?? "x")) ++this.at;
    }

    private take(token: string): boolean {
        if (!this.text.startsWith(token, this.at)) return false;
        this.at += token.length;
        return true;
    }

    private match(pattern: RegExp): string {
        pattern.lastIndex = this.at;
        const found = pattern.exec(this.text);
        if (!found) this.fail();
        this.at = pattern.lastIndex;
        return found[0];
    }

    private value(depth: number): Exact {
        if (depth > deepest) this.fail();
        this.skip();
        if (this.take("null")) return null;
        if (this.take("true")) return true;
        if (this.take("false")) return false;
        const next = this.text[this.at];
        if (next === '"') return this.string();
        if (next === "[") return this.list(depth);
        if (next === "{") return this.object(depth);
        return new ExactNumber(this.match(/-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?/y));
    }

    private string(): string {
        return JSON.parse(this.match(/"(?:[^"\\\u0000-\u001f]|\\.)*"/y)) as string;
    }

    private list(depth: number): Exact[] {
        const items: Exact[] = [];
        ++this.at;
        this.skip();
        if (this.take("]")) return items;
        for (;;) {
            items.push(this.value(depth + 1));
            this.skip();
            if (this.take("]")) return items;
            if (!this.take(",")) this.fail();
        }
    }

    private object(depth: number): ExactObject {
        const members: Member[] = [];
        ++this.at;
        this.skip();
        if (this.take("}")) return new ExactObject(members);
        for (;;) {
            this.skip();
            if (this.text[this.at] !== '"') this.fail();
            const name = this.string();
            this.skip();
            if (!this.take(":")) this.fail();
            members.push([name, this.value(depth + 1)]);
            this.skip();
            if (this.take("}")) return new ExactObject(members);
            if (!this.take(",")) this.fail();
        }
    }
}

/** Throws SyntaxError for what is not JSON. */
export function parseExact(text: string): Exact {
    return new Reader(text).document();
}

/** Escapes the characters that change the order of what is shown, so that a document reads as it is stored. */
function printString(text: string): string {
    return JSON.stringify(text).replace(/[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The inverse: with line breaks, two spaces a level. */
export function printExact(value: Exact, indent = ""): string {
    const inner = indent + "  ";
    if (value instanceof ExactNumber) return value.text;
    if (Array.isArray(value)) {
        if (value.length === 0) return "[]";
        return `[\n${value.map((one) => inner + printExact(one, inner)).join(",\n")}\n${indent}]`;
    }
    if (value instanceof ExactObject) {
        if (value.members.length === 0) return "{}";
        const lines = value.members.map(([name, one]) => `${inner}${printString(name)}: ${printExact(one, inner)}`);
        return `{\n${lines.join(",\n")}\n${indent}}`;
    }
    return typeof value === "string" ? printString(value) : String(value);
}

/** As JSON.parse for the rest of an answer: members become properties, numbers become texts. */
export function textOf(value: Exact | undefined): string {
    if (value === undefined || value === null) return "";
    if (typeof value === "string") return value;
    return printExact(value);
}
