// npm `pusher`, the official server library: any of its methods by name.
import Pusher from 'pusher';
import { serve } from './json_lines.mjs';

let pusher;

serve(async (verb, args) => {
  if (verb === 'configure') {
    pusher = new Pusher(args.options);
    return null;
  }
  const answer = await pusher[verb](...args.arguments);
  // HTTP calls give a fetch response, authorizations a plain object.
  return typeof answer?.json === 'function'
    ? { status: answer.status, content: await answer.json() }
    : answer;
});
