// The object and the pending messages of a run: documents of the program, with exact numbers.
import { useEffect, useRef } from "preact/hooks";
import { pathOf, readExact } from "../api";
import { ExactObject, textOf, type Exact } from "../exact";
import { Empty, Loading, Panel, ProblemBox, When } from "../parts/basics";
import { JsonView } from "../parts/json_view";
import { useResource } from "../resource";
import { formatTime, useNow } from "../time";
import { isFinished } from "../words";
import type { RunDetail } from "../types";

/** A message that arrives is no change of the run, and so the stream does not tell it. */
const inboxInterval = 5_000;

/** A document, or bytes that are not JSON. */
export function Document(props: { holder: ExactObject; name: string; label: string }) {
    const value = props.holder.find(props.name);
    if (value !== undefined) return <JsonView value={value} label={props.label} />;
    const bytes = textOf(props.holder.find(`${props.name}_base64`));
    if (bytes === "") return <p class="faint">Empty.</p>;
    return <><p class="faint">Not JSON; in Base64:</p><pre tabIndex={0} aria-label={props.label}>{bytes}</pre></>;
}

/** Reads again when the run has a new version; until then the old document stays. */
function useDocument(run: RunDetail, part: string, stamp: string, every = 0) {
    const found = useResource(`${part}/${run.id}`, (signal) => readExact(`runs/${pathOf(run.id)}/${part}`, signal), every);
    const last = useRef(stamp);
    useEffect(() => {
        if (last.current !== stamp) found.reload();
        last.current = stamp;
    }, [stamp]);
    return found;
}

export function ObjectPanel(props: { run: RunDetail }) {
    const object = useDocument(props.run, "object", props.run.version);
    const holder = object.data instanceof ExactObject ? object.data : null;
    return (
        <Panel title="Object" aside={holder && <span class="faint">version {textOf(holder.find("version"))}</span>}>
            {object.problem && <ProblemBox problem={object.problem} retry={object.reload} isStale={holder !== null} />}
            {!holder && object.isLoading && <Loading />}
            {holder && <Document holder={holder} name="object" label="object" />}
        </Panel>
    );
}

function Message(props: { message: ExactObject }) {
    const now = useNow();
    const field = (name: string) => textOf(props.message.find(name));
    const hasPayload = props.message.find("payload") !== undefined || field("payload_base64") !== "";
    return (
        <li class="message">
            <details>
                <summary>
                    <strong>{field("kind") === "callback" ? field("name") : field("kind")}</strong>{" "}
                    <span class="faint">number {field("sequence")}, sent <When at={field("sent_at")} now={now} />{field("requested_by") && ` by ${field("requested_by")}`}</span>
                </summary>
                <dl class="terms">
                    <div class="term"><dt>Sent</dt><dd>{formatTime(field("sent_at"), true)}</dd></div>
                    {field("expires_at") && <div class="term"><dt>Expires</dt><dd>{formatTime(field("expires_at"))}</dd></div>}
                    {field("idempotency_key") && <div class="term"><dt>Idempotency key</dt><dd><code>{field("idempotency_key")}</code></dd></div>}
                </dl>
                {hasPayload && <Document holder={props.message} name="payload" label={`payload of message ${field("sequence")}`} />}
            </details>
        </li>
    );
}

export function MessagesPanel(props: { run: RunDetail }) {
    const { run } = props;
    const messages = useDocument(run, "messages", `${run.version}/${run.pending_messages}`, isFinished(run) ? 0 : inboxInterval);
    const list: Exact = (messages.data instanceof ExactObject ? messages.data.find("messages") : undefined) ?? null;
    const all = Array.isArray(list) ? list.filter((one): one is ExactObject => one instanceof ExactObject) : null;
    const hasMore = messages.data instanceof ExactObject && messages.data.find("next") !== null;
    return (
        <Panel title="Pending messages" aside={all && all.length > 0 && <span class="faint">{all.length}{hasMore && " of more"}</span>}>
            {messages.problem && <ProblemBox problem={messages.problem} retry={messages.reload} isStale={all !== null} />}
            {!all && messages.isLoading && <Loading lines={1} />}
            {all?.length === 0 && <Empty title="The inbox is empty." />}
            {all && <ul class="plain">{all.map((one) => <Message key={textOf(one.find("sequence"))} message={one} />)}</ul>}
        </Panel>
    );
}
