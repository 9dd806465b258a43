// The view is the part of the URL after '#': it needs no route of the server, works below any prefix, and filters, which may
// name customers, reach no access log.
import { useEffect, useState } from "preact/hooks";

export interface Place { parts: string[]; query: URLSearchParams }

function parse(): Place {
    const text = location.hash.replace(/^#\/?/, "");
    const mark = text.indexOf("?");
    const path = mark < 0 ? text : text.slice(0, mark);
    const decode = (part: string) => {
        try {
            return decodeURIComponent(part);
        } catch {
            return part;
        }
    };
    return {
        parts: path.split("/").filter((part) => part !== "").map(decode),
        query: new URLSearchParams(mark < 0 ? "" : text.slice(mark + 1)),
    };
}

export function linkTo(parts: string[], query: Record<string, string> = {}): string {
    const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
    return `#/${parts.map(encodeURIComponent).join("/")}${text && "?"}${text}`;
}

export function go(link: string) {
    location.hash = link;
}

/** Changes the view without an entry in the history of the browser, as while somebody types. */
export function replace(link: string) {
    history.replaceState(null, "", link);
    dispatchEvent(new HashChangeEvent("hashchange"));
}

export function usePlace(): Place {
    const [place, setPlace] = useState(parse);
    useEffect(() => {
        const update = () => setPlace(parse());
        addEventListener("hashchange", update);
        return () => removeEventListener("hashchange", update);
    }, []);
    return place;
}
