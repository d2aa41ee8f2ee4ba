// "… is typing": whispers go from phone to phone through the server and never touch the backend.

const WHISPER_EVERY = 1_500; // ms; the server allows ten client events a second
const SHOW_FOR = 3_500;

export class Typing {
  #element;
  #people = new Map(); // id -> { name, timer }
  #lastWhisper = 0;

  constructor(element) {
    this.#element = element;
  }

  whisper(channel, me) {
    const now = Date.now();
    if (now - this.#lastWhisper < WHISPER_EVERY) return;
    this.#lastWhisper = now;
    channel.whisper('typing', { id: me.id, name: me.name });
  }

  /** After sending, the next key is news again. */
  reset() {
    this.#lastWhisper = 0;
  }

  show({ id, name }) {
    clearTimeout(this.#people.get(id)?.timer);
    this.#people.set(id, { name, timer: setTimeout(() => this.hide(id), SHOW_FOR) });
    this.#render();
  }

  hide(id) {
    clearTimeout(this.#people.get(id)?.timer);
    this.#people.delete(id);
    this.#render();
  }

  #render() {
    const names = [...this.#people.values()].map(({ name }) => name.split(' ')[0]);
    const text = names.length ? `${names.join(', ')} ${names.length > 1 ? 'are' : 'is'} typing` : '';
    if (this.#element.textContent === text) return;
    this.#element.textContent = text;
    if (!text) return;
    const dots = document.createElement('span');
    dots.className = 'dots';
    dots.setAttribute('aria-hidden', 'true');
    dots.append(...[1, 2, 3].map(() => document.createElement('i')));
    this.#element.append(dots);
  }
}
