#!/usr/bin/env node
// Validates the whole way of a comment, for two users on one session:
//
//     phone A → REST API → database → broadcast event → WebSocket server → phone B
//
// Works against the stand-in backend of this example and, by environment variables (--help),
// against a real Laravel backend. Exit status 0: every step holds; a step marked "!" holds, but
// late. 1: a step failed, and its hint says what to check first. 2: this script cannot run.
// Its parts are in the folder websocket-comments beside it: copy both.

'use strict';

const { cleanUp, stepCreate, stepCreated, stepDeleted, stepNoEcho, stepUpdated } = require('./websocket-comments/comment_events');
const { Failure } = require('./websocket-comments/failure');
const { HELP, config, people, problems } = require('./websocket-comments/settings');
const { stepAuthenticate, stepConnect, stepCrossOrigin, stepJoin, stepLogIn, stepPresence } = require('./websocket-comments/sign_in');

function loadPusher() {
  try {
    const loaded = require('pusher-js');
    return loaded.default ?? loaded;
  } catch {
    console.error('pusher-js is not installed: run "npm install" in the folder above this script (or set NODE_PATH).');
    process.exit(2);
  }
}

function checklist(Pusher) {
  return [
    ['API: log in', stepLogIn],
    ...(config.origin ? [['API: CORS', stepCrossOrigin]] : []),
    ['WebSocket: connect', () => stepConnect(Pusher)],
    ['WebSocket: authenticate', stepAuthenticate],
    ['WebSocket: join the session', stepJoin],
    ['WebSocket: presence', stepPresence],
    ['API: create a comment', stepCreate],
    ['Event: comment.created', stepCreated],
    ...(config.onlyCreated ? [] : [['Event: comment.updated', stepUpdated], ['Event: comment.deleted', stepDeleted]]),
    ['No duplicates', stepNoEcho],
  ];
}

/** Run the steps until one fails: 'held', 'late' or 'failed'. */
async function run(steps) {
  let outcome = 'held';
  for (const [title, step] of steps) {
    const label = title.padEnd(29);
    if (outcome === 'failed') {
      console.log(`  – ${label}not tried`);
      continue;
    }
    try {
      const result = await step();
      const { text, late } = typeof result === 'string' ? { text: result, late: null } : result;
      console.log(`  ${late ? '!' : '✓'} ${label}${text}${late ? ': late' : ''}`);
      if (late && outcome === 'held') showHints(late); // once is enough
      if (late) outcome = 'late';
    } catch (error) {
      outcome = 'failed';
      console.log(`  ✗ ${label}${error.message}`);
      showHints(error.hints ?? []);
      if (!(error instanceof Failure)) console.log(error.stack);
    }
  }
  return outcome;
}

function showHints(hints) {
  hints.forEach((hint, index) => console.log(`      ${index ? '     ' : 'check'} ${index + 1}. ${hint}`));
}

const VERDICTS = {
  held: 'All steps hold: comments arrive in real time.',
  late: `All steps hold, but events take longer than ${config.slow / 1000} s: see the step marked "!".`,
  failed: 'Failed.',
};

async function main() {
  if (process.argv.includes('--help') || process.argv.includes('-h')) return console.log(HELP);
  if (problems.length) {
    console.error(problems.join('\n'));
    process.exit(2);
  }
  const steps = checklist(loadPusher());
  console.log(`Comments in real time: API ${config.api}, WebSocket ${config.server}${config.path}, session ${config.session}\n`);
  const outcome = await run(steps);
  await cleanUp();
  console.log(`\n${VERDICTS[outcome]}`);
  if (outcome !== 'failed' && !config.origin) console.log('Not tried: CORS, which an app in a browser needs (ORIGIN=https://app.example.com).');
  people.forEach((person) => person.pusher?.disconnect());
  process.exit(outcome === 'failed' ? 1 : 0);
}

main();
