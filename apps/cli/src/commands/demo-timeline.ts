/** Words for the events of an order's timeline, in the order of the mission's six steps. */
import { type TimelineEntry } from '@cardwright/protocol';

const phrases: readonly (readonly [prefix: string, step: string, text: string])[] = [
  ['order.requested', '2 order', 'the issuer backend ordered: Produce physical card, INSTANT'],
  ['order.ready', '3 prepare', 'the vault prepared and sealed the production data'],
  ['order.data_failed', '3 prepare', 'the card data was refused'],
  [
    'order.in_production',
    '5 produce',
    'production began: from here the order cannot move to another station',
  ],
  ['order.done', '5 produce', 'the card is made and proven'],
  ['order.production_failed', '5 produce', 'no card was made'],
  ['order.in_doubt', '5 produce', 'it is not known whether a card was made'],
  ['job.queued', '4 send', 'waiting for the station'],
  ['job.leased', '4 send', 'the station took the job'],
  ['job.armed', '4 send', 'armed: the last safe point is passed'],
  ['notification.delivered', '6 notify', 'the issuer was told'],
];

function details(entry: TimelineEntry): string {
  const shown = Object.entries(entry.data)
    .filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value))
    .map(([name, value]) => `${name}=${String(value)}`);
  return shown.length === 0 ? '' : `  [${shown.join(' ')}]`;
}

/** One line for an event: the step of the mission it belongs to, and what happened. */
export function describeEvent(entry: TimelineEntry): { readonly step: string; readonly text: string } {
  const phrase = phrases.find(([prefix]) => entry.event.startsWith(prefix));
  if (phrase !== undefined) return { step: phrase[1], text: phrase[2] + details(entry) };
  const isStage = /^(job|stage|hand_over|outcome)/.test(entry.event);
  return { step: isStage ? '5 produce' : '· event', text: entry.event.replaceAll('_', ' ') + details(entry) };
}
