// Chromium for the Python tests. Each line on stdin is { code, values }: the body of an async
// function that sees `browser`, `state` (kept between lines) and `values`. Each answer is one
// line on stdout: { result } or { error }.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(new URL('../js/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const AsyncFunction = (async () => {}).constructor;

const browser = await chromium.launch({
  executablePath: process.env.CHROME,
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});
const state = {};

for await (const line of createInterface({ input: process.stdin })) {
  const { code, values } = JSON.parse(line);
  let answer;
  try {
    const result = await new AsyncFunction('browser', 'state', 'values', code)(browser, state, values);
    answer = { result: result ?? null };
  } catch (error) {
    answer = { error: error.stack ?? String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
