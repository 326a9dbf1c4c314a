/** Keeps what was printed on each card: `cards/<serial>/front.png` and `back.png`, and what its chip tells. */
import { mkdirSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type VirtualCard } from '@cardwright/card';
import sharp from 'sharp';
import { replaceFile } from './desk-file.ts';

/** 24-bit RGB, row by row from the top left. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

export type CardSide = 'front' | 'back';

export class PictureStore {
  readonly #folder: string;

  constructor(dataFolder: string) {
    this.#folder = dataFolder;
  }

  /** Draws one side; returns the file's path relative to the data folder. */
  async draw(serial: string, side: CardSide, picture: Picture): Promise<string> {
    const { width, height, rgb } = picture;
    const file = join('cards', serial, `${side}.png`);
    const target = join(this.#folder, file);
    await mkdir(join(this.#folder, 'cards', serial), { recursive: true });
    await sharp(rgb, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(`${target}.new`);
    await rename(`${target}.new`, target);
    return file;
  }

  /** Writes what an observer may know about the chip: no secret and no cardholder data. */
  describeChip(card: VirtualCard): void {
    const chip = card.inspect();
    const folder = join(this.#folder, 'cards', chip.serial);
    mkdirSync(folder, { recursive: true });
    replaceFile(join(folder, 'chip.json'), `${JSON.stringify(chip, null, 2)}\n`);
  }
}
