// A dialog of the browser's own: it keeps the focus, closes with Escape, and gives the focus back.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

export function Dialog(props: { title: string; close: () => void; children: ComponentChildren }) {
    const element = useRef<HTMLDialogElement>(null);
    useEffect(() => {
        const before = document.activeElement;
        element.current?.showModal();
        return () => {
            if (before instanceof HTMLElement) before.focus();
        };
    }, []);
    const onBackdrop = (event: MouseEvent) => {
        if (event.target === element.current) props.close();
    };
    return (
        <dialog ref={element} aria-label={props.title} onClick={onBackdrop} onCancel={(event) => { event.preventDefault(); props.close(); }}>
            <div class="dialog-body">
                <h2>{props.title}</h2>
                {props.children}
            </div>
        </dialog>
    );
}
