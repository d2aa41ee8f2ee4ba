// pusher-js, browser build, in a headless Chromium: the same commands as the Node driver, plus `open`,
// which makes a browser context of its own with one page. A command's `who` names the page.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { happened, serve } from './json_lines.mjs';

const profile = mkdtempSync(join(tmpdir(), 'conformance-chromium-'));
// Playwright makes the fresh user-data-dir; it lives below TMPDIR, which is ours to remove.
process.env.TMPDIR = profile;
const browser = await chromium.launch({
  executablePath: process.env.CHROME || '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});
process.on('exit', () => rmSync(profile, { recursive: true, force: true }));
const pages = {};

async function open({ who, url }) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on('pageerror', (error) => happened({ who, channel: null, event: 'pageerror', data: String(error) }));
  await page.exposeBinding('happened', (_source, happening) => happened(happening));
  await page.goto(url);
  await page.waitForFunction('window.perform !== undefined');
  pages[who] = page;
}

serve(async (verb, args) => {
  if (verb === 'open') return open(args);
  if (verb === 'close') return browser.close();
  return pages[args.who].evaluate(([v, a]) => window.perform(v, a), [verb, args]);
});
