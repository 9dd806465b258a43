import { Dialog } from "./dialog";

const keys: [string, string][] = [
    ["g o", "Overview"], ["g r", "Runs"], ["g s", "Schedules"], ["g c", "Connectors and dead letters"],
    ["g e", "Engines"], ["g a", "Audit"], ["/", "Search runs"], ["j, k", "Next, previous row"], ["Enter", "Open the row"],
    ["f", "Freeze the list, or resume it"], ["n", "Show new rows"], ["?", "This help"], ["Esc", "Close, or leave a field"],
];

export function Help(props: { close: () => void }) {
    return (
        <Dialog title="Keyboard" close={props.close}>
            <dl class="terms keys">{keys.map(([key, text]) => <div class="term" key={key}><dt><kbd>{key}</kbd></dt><dd>{text}</dd></div>)}</dl>
            <div class="dialog-buttons"><button type="button" onClick={props.close}>Close</button></div>
        </Dialog>
    );
}
