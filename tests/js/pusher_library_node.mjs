// npm `pusher`, the official server library: any of its methods by name, and its check of webhooks.
import Pusher from 'pusher';
import { serve } from './json_lines.mjs';

let pusher;

serve(async (verb, args) => {
  if (verb === 'configure') {
    pusher = new Pusher(args.options);
    return null;
  }
  if (verb === 'check_webhook') {
    const webhook = pusher.webhook(args.request);
    return { valid: webhook.isValid(), events: webhook.isValid() ? webhook.getEvents() : [] };
  }
  const answer = await pusher[verb](...args.arguments);
  // HTTP calls give a fetch response, authorizations a plain object.
  return typeof answer?.json === 'function'
    ? { status: answer.status, content: await answer.json() }
    : answer;
});
