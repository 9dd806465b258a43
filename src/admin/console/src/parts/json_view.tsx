// A document of a program, with exact numbers, a search, and a copy button. Large documents are shown in part.
import { useMemo, useState } from "preact/hooks";
import { ExactNumber, ExactObject, printExact, type Exact } from "../exact";
import { CopyButton } from "./basics";

const mostLines = 2_000;

interface Line { indent: number; name?: string; text: string; kind: string; tail: string }

function addLines(out: Line[], value: Exact, indent: number, name: string | undefined, tail: string) {
    const add = (text: string, kind: string, end: string) => {
        const line: Line = { indent, text, kind, tail: end };
        if (name !== undefined) line.name = name;
        out.push(line);
    };
    if (Array.isArray(value) && value.length > 0) {
        add("[", "mark", "");
        value.forEach((one, index) => addLines(out, one, indent + 1, undefined, index + 1 < value.length ? "," : ""));
        out.push({ indent, text: "]", kind: "mark", tail });
    } else if (value instanceof ExactObject && value.members.length > 0) {
        add("{", "mark", "");
        value.members.forEach(([key, one], index) => addLines(out, one, indent + 1, key, index + 1 < value.members.length ? "," : ""));
        out.push({ indent, text: "}", kind: "mark", tail });
    } else {
        const kind = value instanceof ExactNumber ? "number" : typeof value === "string" ? "text" : typeof value === "object" ? "mark" : "word";
        add(printExact(value), kind, tail);
    }
}

export function JsonView(props: { value: Exact; label: string }) {
    const [search, setSearch] = useState("");
    const [showsAll, setShowsAll] = useState(false);
    const lines = useMemo(() => {
        const all: Line[] = [];
        addLines(all, props.value, 0, undefined, "");
        return all;
    }, [props.value]);
    const text = useMemo(() => printExact(props.value), [props.value]);
    const wanted = search.toLowerCase();
    const matches = (line: Line) => wanted !== "" && `${line.name ?? ""} ${line.text}`.toLowerCase().includes(wanted);
    const found = wanted === "" ? 0 : lines.filter(matches).length;
    const shown = showsAll ? lines : lines.slice(0, mostLines);
    return (
        <div class="json">
            <div class="json-tools">
                <input type="search" value={search} placeholder="Find in document" aria-label={`Find in ${props.label}`}
                    onInput={(event) => setSearch(event.currentTarget.value)} />
                <span class="faint" aria-live="polite">{wanted && `${found} ${found === 1 ? "line" : "lines"}`}</span>
                <CopyButton text={text} label={props.label} />
            </div>
            <pre tabIndex={0} aria-label={props.label}>
                {shown.map((line, index) => (
                    <div key={index} class={matches(line) ? "json-line json-found" : "json-line"}>
                        {"  ".repeat(line.indent)}
                        {line.name !== undefined && <><span class="json-name">{printExact(line.name)}</span>: </>}
                        <span class={`json-${line.kind}`}>{line.text}</span>{line.tail}
                    </div>
                ))}
            </pre>
            {shown.length < lines.length && (
                <button type="button" onClick={() => setShowsAll(true)}>Show all {lines.length} lines</button>
            )}
        </div>
    );
}
