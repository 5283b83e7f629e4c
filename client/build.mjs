// Bundles src/ into kg/web/static, each bundle with the licences of what is in it. Run by `make bundles`.
import { readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "kg", "web", "static");

for (const name of ["editor", "suggest"]) {
  const made = await build({
    absWorkingDir: here,
    entryPoints: [`src/${name}.ts`],
    bundle: true,
    minify: true,
    charset: "utf8",
    format: "esm",
    target: "es2022",
    metafile: true,
    write: false,
    logLevel: "warning",
  });
  const packages = new Set(
    Object.keys(made.metafile.inputs).flatMap((path) => path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []),
  );
  const byLicence = new Map();
  for (const each of [...packages].sort()) {
    const text = (await readFile(join(here, "node_modules", each, "LICENSE"), "utf8")).trim();
    byLicence.set(text, [...(byLicence.get(text) ?? []), each]);
  }
  const licences = [...byLicence].map(([text, names]) => `${names.join(", ")}:\n\n${text}`).join("\n\n");
  const contains = licences && ` Contains:\n\n${licences.replaceAll("*/", "* /")}\n`;
  const notice = `/*! Stroma, Apache-2.0.${contains} */\n`;
  // Whole or not at all: a server may read the file meanwhile.
  await writeFile(join(out, `${name}.js.new`), notice + made.outputFiles[0].text);
  await rename(join(out, `${name}.js.new`), join(out, `${name}.js`));
}
