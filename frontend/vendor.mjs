// Writes the third-party files Concord serves, each with its version, licence and hash.
//
//   npm ci && npm run vendor   writes static/vendor/ and tests/browser/vendor/
//   npm run check              builds them again beside and fails when the committed files differ
//
// Same lock, same bytes: nothing here depends on the clock, the machine or the order of a directory.
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);

// Each is the package's own built file. The first widget that ships only as modules brings a bundler with it.
const SETS = {
  "static/vendor": [
    { name: "bootstrap", from: "dist/css/bootstrap.min.css", to: "bootstrap.min.css", licences: ["LICENSE"] },
    { name: "htmx.org", from: "dist/htmx.min.js", to: "htmx.min.js", licences: ["LICENSE"] },
  ],
  "tests/browser/vendor": [
    { name: "axe-core", from: "axe.min.js", to: "axe.min.js", licences: ["LICENSE", "LICENSE-3RD-PARTY.txt"] },
  ],
};

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

// A source-map line names a file that is not shipped; the manifest storage would refuse to collect it.
const withoutSourceMap = (text) => text.replace(/^.*[#@]\s*sourceMappingURL=.*$\n?/gm, "");

async function build(entry, folder) {
  const home = join(here, "node_modules", entry.name);
  const about = JSON.parse(await readFile(join(home, "package.json"), "utf8"));
  const text = withoutSourceMap(await readFile(join(home, entry.from), "utf8"));
  if (text.includes("sourceMappingURL=")) throw new Error(`${entry.to} still names a source map`);
  await writeFile(join(folder, entry.to), text);
  const licences = [];
  for (const licence of entry.licences) {
    const file = `${entry.name}.${licence.replace(/\.(txt|md)$/, "")}.txt`;
    await writeFile(join(folder, file), await readFile(join(home, licence), "utf8"));
    licences.push(file);
  }
  return {
    file: entry.to,
    name: about.name,
    version: about.version,
    licence: about.license,
    licence_files: licences,
    source: entry.from,
    sha256: sha256(text),
  };
}

async function buildAll(base) {
  for (const [folder, entries] of Object.entries(SETS)) {
    const target = join(base, folder);
    await rm(target, { recursive: true, force: true });
    await mkdir(target, { recursive: true });
    const files = [];
    for (const entry of entries) files.push(await build(entry, target));
    await writeFile(join(target, "VENDOR.json"), JSON.stringify({ files }, null, 2) + "\n");
  }
}

async function listing(folder) {
  const names = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return names.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name))).sort();
}

async function check() {
  const fresh = await mkdtemp(join(tmpdir(), "vendor-"));
  const wrong = [];
  try {
    await buildAll(fresh);
    for (const folder of Object.keys(SETS)) {
      const [built, committed] = [await listing(join(fresh, folder)), await listing(join(root, folder))];
      for (const file of new Set([...built, ...committed])) {
        const where = `${folder}/${file}`;
        if (!committed.includes(file)) wrong.push(`${where} is missing`);
        else if (!built.includes(file)) wrong.push(`${where} comes from no package`);
        else if (sha256(await readFile(join(fresh, where))) !== sha256(await readFile(join(root, where)))) {
          wrong.push(`${where} differs from what the lock builds`);
        }
      }
    }
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  if (wrong.length) {
    console.error(`${wrong.join("\n")}\nRun: cd frontend && npm ci && npm run vendor`);
    process.exit(1);
  }
  console.log("Vendored files are what the lock builds.");
}

await (process.argv.includes("--check") ? check() : buildAll(root));
