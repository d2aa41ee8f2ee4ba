// Commands come in as JSON lines on stdin; answers and happenings go out as JSON lines on stdout.
// {"id":1,"do":"subscribe",…} → {"id":1,"result":…} or {"id":1,"error":"…"}; {"happened":{…}}
import { createInterface } from 'node:readline';

const write = (message) => process.stdout.write(JSON.stringify(message) + '\n');

export const happened = (happening) => write({ happened: happening });

export function serve(perform) {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', async (line) => {
    const { id, do: verb, ...args } = JSON.parse(line);
    try {
      write({ id, result: (await perform(verb, args)) ?? null });
    } catch (error) {
      write({ id, error: String(error?.stack ?? error) });
    }
  });
  lines.on('close', () => process.exit(0));
}
