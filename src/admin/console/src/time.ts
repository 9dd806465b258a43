// Times and numbers as texts.
import { useEffect, useState } from "preact/hooks";
import { settings } from "./settings";

const pad = (value: number, size = 2) => String(value).padStart(size, "0");

/** "2027-01-31 14:03:07", in the zone of the settings. */
export function formatTime(text: string, withMilliseconds = false): string {
    const at = new Date(text);
    if (Number.isNaN(at.getTime())) return text;
    const utc = settings().zone === "UTC";
    const [year, month, day, hours, minutes, seconds] = utc
        ? [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate(), at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds()]
        : [at.getFullYear(), at.getMonth(), at.getDate(), at.getHours(), at.getMinutes(), at.getSeconds()];
    const tail = withMilliseconds ? `.${pad(at.getUTCMilliseconds(), 3)}` : "";
    return `${year}-${pad(month + 1)}-${pad(day)} ${pad(hours)}:${pad(minutes)}:${pad(seconds)}${tail}${utc ? " UTC" : ""}`;
}

/** "3 h 12 min": the two largest units. */
export function formatDuration(milliseconds: number): string {
    const seconds = Math.abs(milliseconds) / 1000;
    if (seconds < 1) return `${Math.round(Math.abs(milliseconds))} ms`;
    if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
    if (seconds < 60) return `${Math.round(seconds)} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return join(minutes, "min", Math.floor(seconds % 60), "s");
    const hours = Math.floor(minutes / 60);
    if (hours < 48) return join(hours, "h", minutes % 60, "min");
    return join(Math.floor(hours / 24), "d", hours % 24, "h");
}

function join(large: number, largeUnit: string, small: number, smallUnit: string): string {
    return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** "in 4 s", "3 min ago", "now". Rounded, so that it changes seldom. */
export function formatDistance(text: string, now: number): string {
    const difference = Date.parse(text) - now;
    if (Number.isNaN(difference)) return text;
    const seconds = Math.round(Math.abs(difference) / 1000);
    if (seconds < 2) return "now";
    const amount =
        seconds < 60 ? `${seconds} s`
        : seconds < 3600 ? `${Math.floor(seconds / 60)} min`
        : seconds < 172_800 ? `${Math.floor(seconds / 3600)} h`
        : `${Math.floor(seconds / 86_400)} d`;
    return difference > 0 ? `in ${amount}` : `${amount} ago`;
}

/** Whole numbers of any size, in groups of three digits. */
export function formatCount(text: string): string {
    return text.replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** The present time, which advances every second while the page is visible. */
export function useNow(): number {
    const [now, setNow] = useState(Date.now);
    useEffect(() => {
        const timer = setInterval(() => document.hidden || setNow(Date.now()), 1000);
        return () => clearInterval(timer);
    }, []);
    return now;
}
