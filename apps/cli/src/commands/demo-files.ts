/** Gathers what a demo run leaves behind: pictures, chip report and timeline, in one `result` folder. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type OrderView } from '@cardwright/protocol';
import { type SandboxLayout } from '../sandbox/layout.ts';

export interface DemoFiles {
  readonly front: string | null;
  readonly back: string | null;
  readonly chipReport: string | null;
  readonly timeline: string;
}

interface DeskCard {
  readonly serial: string;
  readonly position: string;
  readonly front?: string | null;
  readonly back?: string | null;
}

/** The card that left the desk last: the physical truth, not what any software believes. */
function lastCard(dataFolder: string): DeskCard | undefined {
  const file = join(dataFolder, 'desk.json');
  if (!existsSync(file)) return undefined;
  const desk = JSON.parse(readFileSync(file, 'utf8')) as { cards: readonly DeskCard[] };
  return desk.cards.filter((card) => card.position !== 'feeder').at(-1);
}

export function collectDemoFiles(layout: SandboxLayout, order: OrderView): DemoFiles {
  const result = join(layout.folder, 'result');
  mkdirSync(result, { recursive: true });
  const data = join(layout.component('simulator'), 'data');
  const card = lastCard(data);
  const copy = (name: 'front' | 'back'): string | null => {
    const picture = card === undefined ? undefined : join(data, 'cards', card.serial, `${name}.png`);
    if (picture === undefined || !existsSync(picture)) return null;
    const target = join(result, `${name}.png`);
    copyFileSync(picture, target);
    return target;
  };
  const write = (name: string, content: unknown): string => {
    const target = join(result, name);
    writeFileSync(target, `${JSON.stringify(content, null, 2)}\n`);
    return target;
  };
  const report = order.jobs.at(-1)?.outcomeEvidence?.['chipReport'];
  return {
    front: copy('front'),
    back: copy('back'),
    chipReport: report === undefined ? null : write('chip-report.json', report),
    timeline: write('timeline.json', {
      ...order,
      jobs: order.jobs.map((job) => ({ ...job, outcomeEvidence: null })),
    }),
  };
}
