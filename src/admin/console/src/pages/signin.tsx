import { useEffect, useRef, useState } from "preact/hooks";
import { Problem, signIn } from "../api";

function wordsOf(fault: unknown): string {
    if (!(fault instanceof Problem)) return String(fault);
    if (fault.status === 401) return "This token is not valid here, or has expired.";
    if (fault.status === 429) return "Too many sign-ins from your address have failed. Try again in a minute.";
    return fault.message;
}

export function SignIn(props: { hasEnded: boolean; done: () => void }) {
    const [token, setToken] = useState("");
    const [error, setError] = useState("");
    const [isBusy, setBusy] = useState(false);
    const field = useRef<HTMLInputElement>(null);
    useEffect(() => {
        document.title = "Sign in · Pawl";
        field.current?.focus();
    }, []);
    const submit = async (event: Event) => {
        event.preventDefault();
        const text = token.trim();
        if (isBusy) return;
        if (!text) {
            setError("Enter a token.");
            field.current?.focus();
            return;
        }
        setBusy(true);
        setError("");
        try {
            await signIn(text);
            props.done();
        } catch (fault) {
            setError(wordsOf(fault));
            setBusy(false);
            field.current?.select();
        }
    };
    return (
        <main class="signin">
            <form class="signin-card" onSubmit={submit} noValidate>
                <h1>Pawl</h1>
                {props.hasEnded && <p class="faint">Your session has ended. Sign in again to go on where you were.</p>}
                <label for="token">Token</label>
                <input id="token" ref={field} type="password" autoComplete="current-password" spellcheck={false} value={token}
                    aria-invalid={error !== ""} aria-describedby="token-error token-help"
                    onInput={(event) => setToken(event.currentTarget.value)} />
                <p id="token-error" class="field-error" role="alert">{error}</p>
                <button type="submit" class="primary" disabled={isBusy}>{isBusy ? "Signing in…" : "Sign in"}</button>
                <p id="token-help" class="faint">An administrator makes tokens with <code>pawl token NAME --role ROLE</code>.</p>
            </form>
        </main>
    );
}
