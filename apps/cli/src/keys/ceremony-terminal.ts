/**
 * The terminal of a ceremony: questions with echo, components without.
 *
 * Invariants: the terminal is raw from beginning to end, so that nothing typed ahead is echoed; a component goes from
 * the keyboard into one buffer that the caller wipes, and never becomes a string; Ctrl-C ends the ceremony. A pipe in
 * the keyboard's place is for trying and testing only: what a pipe brings was in a file or a program before.
 */
import { KeyCommandFault } from './key-vault.ts';

const enter = [0x0d, 0x0a];
const erase = [0x08, 0x7f];
const interrupt = 0x03;
const endOfInput = 0x04;

/** Longer lines are not answers. */
const longestLine = 512;

export class CeremonyTerminal {
  readonly #input = process.stdin;
  readonly #isTerminal: boolean;
  readonly #waiting: number[] = [];
  #wake: (() => void) | undefined;
  #hasEnded = false;

  /** @throws KeyCommandFault when there is no terminal and the environment takes nothing else */
  constructor(environment: 'test' | 'production') {
    this.#isTerminal = process.stdin.isTTY && process.stdout.isTTY;
    if (!this.#isTerminal && environment === 'production') {
      throw new KeyCommandFault('a ceremony needs a terminal: its input is not read from a pipe or file');
    }
    if (this.#isTerminal) this.#input.setRawMode(true);
    this.#input.on('data', (chunk: Buffer) => {
      this.#waiting.push(...chunk);
      chunk.fill(0);
      this.#wake?.();
    });
    this.#input.on('end', () => {
      this.#hasEnded = true;
      this.#wake?.();
    });
  }

  tell(text: string): void {
    process.stdout.write(`${text.replaceAll('\n', '\r\n')}\r\n`);
  }

  /** Clears the screen and what can be scrolled back to. */
  clear(): void {
    if (!this.#isTerminal) return;
    process.stdout.write('\x1b[2J\x1b[3J\x1b[H');
  }

  #echo(text: string | Uint8Array): void {
    if (this.#isTerminal) process.stdout.write(text);
  }

  async #nextByte(): Promise<number> {
    while (this.#waiting.length === 0 && !this.#hasEnded) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const byte = this.#waiting.shift() ?? endOfInput;
    if (byte === interrupt || byte === endOfInput) throw new KeyCommandFault('the ceremony was interrupted');
    return byte;
  }

  /** One line, echoed. */
  async ask(question: string): Promise<string> {
    process.stdout.write(`${question} `);
    const line: number[] = [];
    for (;;) {
      const byte = await this.#nextByte();
      if (enter.includes(byte)) break;
      if (erase.includes(byte)) {
        if (line.pop() !== undefined) this.#echo('\b \b');
      } else if (byte >= 0x20 && line.length < longestLine) {
        line.push(byte);
        this.#echo(Buffer.of(byte));
      }
    }
    process.stdout.write('\r\n');
    return Buffer.from(line).toString('utf8').trim();
  }

  /** Hexadecimal digits, not echoed; spaces do not count. Empty when something else was typed. The caller wipes it. */
  async askHexadecimal(question: string): Promise<Uint8Array> {
    process.stdout.write(`${question} `);
    const digits = new Uint8Array(longestLine);
    let count = 0;
    let isSound = true;
    for (;;) {
      const byte = await this.#nextByte();
      if (enter.includes(byte)) break;
      if (erase.includes(byte)) {
        if (count > 0) digits[--count] = 0;
      } else if (byte !== 0x20) {
        const digit = Number.parseInt(String.fromCharCode(byte), 16);
        if (Number.isNaN(digit) || count >= longestLine) isSound = false;
        else digits[count++] = digit;
      }
    }
    process.stdout.write('\r\n');
    const length = isSound && count % 2 === 0 ? count / 2 : 0;
    const bytes = Uint8Array.from(
      { length },
      (_, index) => ((digits[index * 2] ?? 0) << 4) | (digits[index * 2 + 1] ?? 0),
    );
    digits.fill(0);
    return bytes;
  }

  close(): void {
    if (this.#isTerminal) this.#input.setRawMode(false);
    this.#input.pause();
  }
}
