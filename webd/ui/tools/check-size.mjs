// Fails when the page exceeds its budget, measured gzipped. Every script and style counts, those of views that are
// loaded later too: a budget that lazy loading can dodge is none.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const BUDGET_BYTES = 300_000;
const dist = new URL('../dist/', import.meta.url).pathname;

let files;
try {
  files = readdirSync(dist, { recursive: true }).map(String).filter((name) => /\.(js|css|html)$/.test(name));
} catch {
  console.error('There is no dist/ yet: run `npm run build` first.');
  process.exit(2);
}

const sizes = files.map((name) => ({ name, bytes: gzipSync(readFileSync(join(dist, name)), { level: 9 }).length }));
sizes.sort((a, b) => b.bytes - a.bytes);
const total = sizes.reduce((sum, file) => sum + file.bytes, 0);

for (const { name, bytes } of sizes) console.log(`${(bytes / 1000).toFixed(1).padStart(8)} kB  ${name}`);
console.log(`${(total / 1000).toFixed(1).padStart(8)} kB  total, gzipped; budget ${BUDGET_BYTES / 1000} kB`);
if (total > BUDGET_BYTES) {
  console.error(`The page is ${((total - BUDGET_BYTES) / 1000).toFixed(1)} kB over its budget: drop or slim something.`);
  process.exit(1);
}
