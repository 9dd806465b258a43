import { useState } from "preact/hooks";
import { useApp, useTitle } from "../app";
import { pathOf, read, readExact, type Abilities } from "../api";
import { ExactObject, textOf, type Exact } from "../exact";
import { Count, Denied, Empty, Loading, Panel, ProblemBox, When } from "../parts/basics";
import { ChangeForm } from "../parts/change_form";
import { DataTable } from "../parts/table";
import { useResource } from "../resource";
import { linkTo, type Place } from "../router";
import { formatCount, formatTime, useNow } from "../time";
import type { Connector, Topic } from "../types";
import { Document } from "./run_documents";

const redriveRoute = "/dead-letters/{topic}/redrive";
const lettersRoute = "/dead-letters/{topic}";

const mayRedrive = (abilities: Abilities) => abilities.has("post", redriveRoute) && abilities.may("post", redriveRoute);

function Redrive(props: { topic: string; done: () => void }) {
    const { abilities } = useApp();
    const [isOpen, setOpen] = useState(false);
    if (!mayRedrive(abilities)) return null;
    const words = (answer: unknown) => {
        const { succeeded, failed } = answer as { succeeded: string; failed: string };
        return `${formatCount(succeeded)} succeeded, ${formatCount(failed)} failed again.`;
    };
    return (
        <>
            <button type="button" onClick={() => setOpen(true)}>Redrive</button>
            {isOpen && (
                <ChangeForm title="Redrive dead letters" verb="Redrive" path={`dead-letters/${pathOf(props.topic)}/redrive`} options={() => ({})} wordsOf={words} close={() => setOpen(false)} changed={props.done}>
                    <p>Each dead letter of <code>{props.topic}</code> is tried once more. A letter that fails again stays, with its new error.</p>
                </ChangeForm>
            )}
        </>
    );
}

export function ConnectorsPage() {
    useTitle("Connectors");
    const { abilities } = useApp();
    const now = useNow();
    const connectors = useResource("connectors", (signal) => read<{ connectors: Connector[] }>("connectors", signal), 5_000);
    const topics = useResource("topics", (signal) => read<{ topics: Topic[] }>("dead-letters", signal), 5_000);
    const all = connectors.data?.connectors;
    const dead = topics.data?.topics;
    return (
        <>
            <div class="page-head"><h1>Connectors and dead letters</h1></div>
            <Panel title="Connectors">
                {connectors.problem && <ProblemBox problem={connectors.problem} retry={connectors.reload} isStale={all !== undefined} />}
                {!all && connectors.isLoading && <Loading />}
                {all?.length === 0 && <Empty title="No engine has a connector." />}
                {all && all.length > 0 && (
                    <DataTable label="Connectors" rows={all} keyOf={(one) => `${one.name}/${one.engine}`} columns={[
                        { name: "Connector", cell: (one) => <strong>{one.name}</strong> },
                        { name: "Workflow", cell: (one) => one.workflow ? <a href={linkTo(["runs"], { workflow: one.workflow })}>{one.workflow}</a> : "–" },
                        { name: "Source", cell: (one) => one.source || "–" },
                        { name: "Engine", cell: (one) => one.engine || <span class="faint">none</span> },
                        { name: "Lag", isNumber: true, cell: (one) => one.lag === null ? <span class="faint">unknown</span> : formatCount(one.lag) },
                        { name: "Dead letters", isNumber: true, cell: (one) => one.dead_letters.count === "0" ? "0" : <a href={linkTo(["dead-letters", one.dead_letter_topic])}><Count value={one.dead_letters} /></a> },
                    ]} />
                )}
            </Panel>
            <Panel title="Dead letters">
                {topics.problem && <ProblemBox problem={topics.problem} retry={topics.reload} isStale={dead !== undefined} />}
                {!dead && topics.isLoading && <Loading />}
                {dead?.length === 0 && <Empty title="There are no dead letters." />}
                {dead && dead.length > 0 && (
                    <DataTable label="Topics with dead letters" rows={dead} keyOf={(one) => one.topic} columns={[
                        { name: "Topic", cell: (one) => <a href={linkTo(["dead-letters", one.topic])}><code>{one.topic}</code></a> },
                        { name: "Letters", isNumber: true, cell: (one) => <Count value={one.letters} /> },
                        { name: "Oldest", cell: (one) => <When at={one.oldest_at} now={now} /> },
                        ...(mayRedrive(abilities) ? [{ name: "Action", cell: (one: Topic) => <Redrive topic={one.topic} done={topics.reload} /> }] : []),
                    ]} />
                )}
            </Panel>
        </>
    );
}

function Letter(props: { letter: ExactObject; now: number }) {
    const field = (name: string) => textOf(props.letter.find(name));
    const headers = props.letter.find("headers");
    const error = headers instanceof ExactObject ? textOf(headers.find("error")) : "";
    return (
        <li class="message">
            <details>
                <summary>
                    <strong>{field("key") || field("id")}</strong> <span class="faint">{field("type")} · position {field("position")} · <When at={field("at")} now={props.now} /></span>
                    {error && <span class="event-error">{error}</span>}
                </summary>
                <dl class="terms">
                    <div class="term"><dt>Id</dt><dd>{field("id")}</dd></div>
                    <div class="term"><dt>At</dt><dd>{formatTime(field("at"), true)}</dd></div>
                    {headers instanceof ExactObject && headers.members.map(([name, value]) => <div class="term" key={name}><dt>{name}</dt><dd>{textOf(value)}</dd></div>)}
                </dl>
                <Document holder={props.letter} name="payload" label={`payload of letter ${field("position")}`} />
            </details>
        </li>
    );
}

export function LettersPage(props: { topic: string; place: Place }) {
    useTitle(`Dead letters of ${props.topic}`);
    const { abilities } = useApp();
    const now = useNow();
    const after = props.place.query.get("after") ?? "0";
    const mayRead = abilities.may("get", lettersRoute);
    const letters = useResource(`letters/${props.topic}/${after}/${mayRead}`, (signal) =>
        mayRead ? readExact(`dead-letters/${pathOf(props.topic)}?after=${encodeURIComponent(after)}&limit=100`, signal) : Promise.resolve<Exact>(null));
    const found = letters.data instanceof ExactObject ? letters.data.find("letters") : undefined;
    const all = Array.isArray(found) ? found.filter((one): one is ExactObject => one instanceof ExactObject) : null;
    const next = letters.data instanceof ExactObject ? textOf(letters.data.find("next")) : "";
    return (
        <>
            <div class="page-head">
                <div class="run-title"><p class="crumbs"><a href={linkTo(["connectors"])}>Dead letters</a></p><h1>{props.topic}</h1></div>
                <div class="page-tools"><Redrive topic={props.topic} done={letters.reload} /></div>
            </div>
            {!mayRead && <Denied text="You may not see payloads." needs={abilities.needs("get", lettersRoute)} />}
            {letters.problem && <ProblemBox problem={letters.problem} retry={letters.reload} isStale={all !== null} />}
            {!all && letters.isLoading && <Loading />}
            {all?.length === 0 && <Empty title={after === "0" ? "The topic has no dead letters." : "There are no further dead letters."} />}
            {all && <ul class="plain letters">{all.map((one) => <Letter key={textOf(one.find("position"))} letter={one} now={now} />)}</ul>}
            <footer class="pager">
                {after !== "0" && <a href={linkTo(["dead-letters", props.topic])}>Oldest</a>}
                {next && <a class="next" href={linkTo(["dead-letters", props.topic], { after: next })}>Next page</a>}
            </footer>
        </>
    );
}
