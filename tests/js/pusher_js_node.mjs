// pusher-js, Node build.
import Pusher from 'pusher-js';
import { createAgent } from './pusher_js_agent.js';
import { happened, serve } from './json_lines.mjs';

serve(createAgent(Pusher, happened));
