// A table whose rows become blocks on a narrow screen; each cell then has the name of its column.
import type { ComponentChildren } from "preact";

export interface Column<T> { name: string; isNumber?: boolean; cell: (row: T) => ComponentChildren }

export function DataTable<T>(props: { label: string; rows: T[]; columns: Column<T>[]; keyOf: (row: T) => string }) {
    return (
        <table class="data" aria-label={props.label}>
            <thead><tr>{props.columns.map((one) => <th key={one.name} class={one.isNumber ? "number" : ""}>{one.name}</th>)}</tr></thead>
            <tbody>
                {props.rows.map((row) => (
                    <tr key={props.keyOf(row)}>
                        {props.columns.map((one) => <td key={one.name} data-name={one.name} class={one.isNumber ? "number" : ""}><div>{one.cell(row)}</div></td>)}
                    </tr>
                ))}
            </tbody>
        </table>
    );
}
