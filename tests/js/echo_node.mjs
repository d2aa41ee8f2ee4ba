// Stock laravel-echo over stock pusher-js, as a Laravel front end has it.
import Echo from 'laravel-echo';
import Pusher from 'pusher-js';
import { happened, serve } from './json_lines.mjs';

const echos = {};

const verbs = {
  connect({ who, options }) {
    echos[who] = new Echo({ Pusher, ...options });
    // In Node there is no `window` for Echo to find Pusher in, hence the option.
    echos[who].connector.pusher.connection.bind('state_change', (change) =>
      happened({ who, channel: null, event: 'state_change', data: change }),
    );
  },
  // kind: channel, private, encryptedPrivate or join, as in the Echo API.
  open({ who, kind, name, listen = [], whispers = [] }) {
    const report = (event) => (data) => happened({ who, channel: name, event, data: data ?? null });
    const channel = echos[who][kind](name);
    channel.subscribed(report('subscribed')).error(report('error'));
    for (const event of listen) channel.listen(event, report(event));
    for (const event of whispers) channel.listenForWhisper(event, report(`whisper:${event}`));
    channel.notification?.(report('notification'));
    if (kind === 'join') {
      channel.here(report('here')).joining(report('joining')).leaving(report('leaving'));
    }
  },
  whisper: ({ who, kind, name, event, data }) => void echos[who][kind](name).whisper(event, data),
  leave: ({ who, name }) => echos[who].leave(name),
  socketId: ({ who }) => echos[who].socketId() ?? null,
  disconnect: ({ who }) => echos[who].disconnect(),
};

serve((verb, args) => verbs[verb](args));
