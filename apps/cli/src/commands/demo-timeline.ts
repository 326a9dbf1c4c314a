/**
 * Words for the events of an order's timeline, in the order of the mission's six steps.
 *
 * The timeline has every state change; a reader wants each thing once. Events that only repeat a neighbour (a job
 * entering the state that its stage just named) have no line; `timeline.json` has them all.
 */
import { type TimelineEntry } from '@cardwright/protocol';

export interface DemoLine {
  readonly step: string;
  readonly text: string;
}

type Phrase = (data: Readonly<Record<string, string>>) => DemoLine | undefined;

const line =
  (step: string, text: string): Phrase =>
  () => ({ step, text });
const silent: Phrase = () => undefined;

const stageWords: Readonly<Record<string, string>> = {
  feed: 'feed: a blank to the chip station',
  chip: 'chip: personalized over the secure channel, driven by the vault',
  stripe: 'stripe: encoded',
  print: 'print: front and back',
  verify: 'verify: read back like a terminal, certificates and cryptogram checked',
};

const phrases: Readonly<Record<string, Phrase>> = {
  'order.requested': ({ stationId }) => ({
    step: '2 order',
    text: `Produce physical card, INSTANT, station ${stationId ?? '?'}: accepted`,
  }),
  'order.ready': line(
    '3 prepare',
    'the vault opened the card data, prepared the EMV data and sealed the plan',
  ),
  'order.data_failed': ({ fault }) => ({
    step: '3 prepare',
    text: `the card data was refused: ${fault ?? '?'}`,
  }),
  'order.in_production': silent,
  'order.done': line('5 produce', 'the card is made and proven'),
  'order.production_failed': ({ fault }) => ({
    step: '5 produce',
    text: `the order failed: ${fault ?? '?'}`,
  }),
  'order.in_doubt': line('5 produce', 'it is not known whether a card was made: somebody must look'),
  'job.queued': silent,
  'job.leased': line('4 send', 'the station took the job; print data encrypted to its key'),
  'job.armed': line('4 send', 'armed: from here no other station can get this card'),
  'job.spoiled': ({ fault }) => ({ step: '5 produce', text: `the blank is spoiled: ${fault ?? '?'}` }),
  'job.in_doubt': silent,
  'job.withdrawn': ({ fault }) => ({
    step: '5 produce',
    text: `the job ended without a blank: ${fault ?? '?'}`,
  }),
  'chip.script-released': ({ commands }) => ({
    step: '5 produce',
    text: `chip: card cryptogram good; the vault released ${commands ?? 'its'} wrapped commands`,
  }),
  'chip.cryptogram-confirmed': line('5 produce', 'verify: the vault confirmed the cryptogram of the card'),
  'notification.delivered': ({ detailsStatus }) => ({
    step: '6 notify',
    text: `the issuer was told ${detailsStatus ?? ''}`,
  }),
  'notification.attempt-failed': ({ detailsStatus, httpStatus, reason }) => ({
    step: '6 notify',
    text: `${detailsStatus ?? ''} did not arrive (${httpStatus ?? reason ?? 'no answer'}); it is sent again`,
  }),
  'hand_over.presented': line('5 produce', 'the card is presented'),
  'hand_over.taken': line('5 produce', 'the customer took the card'),
  'hand_over.retracted': line('5 produce', 'nobody took the card; it was drawn back'),
};

function plainData(entry: TimelineEntry): Record<string, string> {
  return Object.fromEntries(
    Object.entries(entry.data)
      .filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value))
      .map(([name, value]) => [name, String(value)]),
  );
}

function describeStage(event: string, fault: string | undefined): DemoLine | undefined {
  const [kind, stage = '', status] = event.split('.');
  if (kind !== 'stage') return undefined;
  const because = fault === undefined ? '' : ` (${fault})`;
  if (status === 'completed') return { step: '5 produce', text: stageWords[stage] ?? stage };
  if (status === 'failed') return { step: '5 produce', text: `${stage}: failed${because}` };
  if (status === 'waiting') return { step: '5 produce', text: `${stage}: waiting for an operator${because}` };
  return undefined;
}

/**
 * Makes a describer for one order's timeline, to be called with each entry in order. It answers undefined for an
 * event that a neighbour tells already.
 */
export function createDescriber(): (entry: TimelineEntry) => DemoLine | undefined {
  const statusOf = new Map<string, string>();
  return (entry) => {
    const data = plainData(entry);
    const { notificationId, detailsStatus } = data;
    if (notificationId !== undefined && detailsStatus !== undefined)
      statusOf.set(notificationId, detailsStatus);
    const told = notificationId === undefined ? undefined : statusOf.get(notificationId);
    const phrase = phrases[entry.event];
    if (phrase !== undefined) return phrase(told === undefined ? data : { ...data, detailsStatus: told });
    return describeStage(entry.event, data['fault']);
  };
}
