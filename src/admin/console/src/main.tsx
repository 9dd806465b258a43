import { Component, render, type ComponentChildren } from "preact";
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { AppContext, type App } from "./app";
import { Problem, readAbilities, whenSignedOut, type Abilities } from "./api";
import { Frame } from "./frame";
import { AuditPage } from "./pages/audit";
import { ConnectorsPage, LettersPage } from "./pages/connectors";
import { EnginesPage } from "./pages/engines";
import { OverviewPage } from "./pages/overview";
import { RunPageView } from "./pages/run";
import { RunsPage } from "./pages/runs";
import { SchedulesPage } from "./pages/schedules";
import { SignIn } from "./pages/signin";
import { Empty, Loading, ProblemBox } from "./parts/basics";
import { linkTo, usePlace, type Place } from "./router";
import { useSettings } from "./settings";
import type { Connection } from "./stream";

function Page(props: { place: Place }) {
    const [page, name] = props.place.parts;
    if (page === undefined || page === "overview") return <OverviewPage />;
    if (page === "runs" && name !== undefined) return <RunPageView key={name} name={name} />;
    if (page === "runs") return <RunsPage place={props.place} />;
    if (page === "schedules") return <SchedulesPage />;
    if (page === "connectors") return <ConnectorsPage />;
    if (page === "dead-letters" && name !== undefined) return <LettersPage key={name} topic={name} place={props.place} />;
    if (page === "engines") return <EnginesPage />;
    if (page === "audit") return <AuditPage place={props.place} />;
    return <Empty title="There is no such page."><p><a href={linkTo([])}>Overview</a></p></Empty>;
}

/** A defect in one page leaves the navigation in place. */
class Boundary extends Component<{ children: ComponentChildren; place: string }, { fault: string }> {
    override state = { fault: "" };
    override componentDidCatch(fault: unknown) {
        this.setState({ fault: String(fault) });
    }
    override componentDidUpdate(before: { place: string }) {
        if (before.place !== this.props.place && this.state.fault) this.setState({ fault: "" });
    }
    override render() {
        if (!this.state.fault) return this.props.children;
        return <div class="problem" role="alert"><div><strong>This page has a defect.</strong> {this.state.fault}</div><button type="button" onClick={() => location.reload()}>Load again</button></div>;
    }
}

type Start =
    | { phase: "loading" }
    | { phase: "signed out"; hasEnded: boolean }
    | { phase: "failed"; problem: Problem }
    | { phase: "ready"; abilities: Abilities };

function Console() {
    const place = usePlace();
    useSettings(); // the zone changes texts everywhere
    const [start, setStart] = useState<Start>({ phase: "loading" });
    const [connection, showConnection] = useState<Connection | null>(null);
    const [announcement, announce] = useState("");
    const begin = useCallback(async () => {
        try {
            setStart({ phase: "ready", abilities: await readAbilities() });
        } catch (fault) {
            const problem = fault instanceof Problem ? fault : new Problem(0, "", String(fault));
            setStart(problem.status === 401 ? { phase: "signed out", hasEnded: false } : { phase: "failed", problem });
        }
    }, []);
    useEffect(() => {
        whenSignedOut(() => setStart((before) => ({ phase: "signed out", hasEnded: before.phase === "ready" })));
        void begin();
    }, []);
    const abilities = start.phase === "ready" ? start.abilities : null;
    const app = useMemo<App | null>(() => abilities && { abilities, announce, showConnection }, [abilities]);
    if (start.phase === "loading") return <main class="signin"><Loading /></main>;
    if (start.phase === "failed") return <main class="signin"><ProblemBox problem={start.problem} retry={begin} /></main>;
    if (start.phase === "signed out" || !abilities) return <SignIn hasEnded={start.phase === "signed out" && start.hasEnded} done={begin} />;
    const page = place.parts[0] ?? "overview";
    return (
        <AppContext.Provider value={app}>
            <Frame page={page === "dead-letters" ? "connectors" : page} abilities={abilities} connection={connection} announcement={announcement} signedOut={() => setStart({ phase: "signed out", hasEnded: false })}>
                <Boundary place={place.parts.join("/")}><Page place={place} /></Boundary>
            </Frame>
        </AppContext.Provider>
    );
}

const root = document.getElementById("console");
if (root) {
    root.replaceChildren(); // the text for browsers without JavaScript
    render(<Console />, root);
}
