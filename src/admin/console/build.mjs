// Builds the console into bundle/, compressed. With --check it compares instead: the content, because compressors differ.
import { gzipSync, gunzipSync } from "node:zlib";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const limit = 70 * 1024; // of all files, compressed

async function bundle(entry) {
    const result = await build({
        absWorkingDir: here,
        entryPoints: [entry],
        bundle: true,
        minify: true,
        write: false,
        format: "iife",
        target: ["es2022"],
        charset: "utf8",
        jsx: "automatic",
        jsxImportSource: "preact",
        legalComments: "none",
    });
    return Buffer.from(result.outputFiles[0].contents);
}

const files = new Map([
    ["index.html", readFileSync(join(here, "static/index.html"))],
    ["icon.svg", readFileSync(join(here, "static/icon.svg"))],
    ["console.js", await bundle("src/main.tsx")],
    ["console.css", await bundle("src/style.css")],
]);

const isCheck = process.argv.includes("--check");
mkdirSync(join(here, "bundle"), { recursive: true });
let total = 0;
for (const [name, content] of files) {
    const path = join(here, "bundle", `${name}.gz`);
    const packed = gzipSync(content, { level: 9 });
    total += packed.length;
    if (isCheck) {
        if (!gunzipSync(readFileSync(path)).equals(content)) {
            console.error(`bundle/${name}.gz is not what its sources make: run "npm run build" in src/admin/console`);
            process.exitCode = 1;
        }
    } else {
        writeFileSync(path, packed);
    }
}
console.log(`console: ${total} of ${limit} bytes, compressed`);
if (total > limit) {
    console.error("the console is larger than it may be");
    process.exitCode = 1;
}
