/**
 * The life of a job: one attempt to produce an order's card at one station.
 *
 * Invariants: `armed` is the last safe point before matter moves; from there no job is ever given to another
 * station (I1). `withdrawn` means that the job ended and provably no blank was moved for it.
 */
import { type TransitionTable } from './transition.ts';

export const productionStages = ['feed', 'chip', 'stripe', 'print', 'verify'] as const;
/** A physical step between arm and outcome. */
export type ProductionStage = (typeof productionStages)[number];

export const jobStates = [
  'queued',
  'leased',
  'armed',
  'feeding',
  'chip',
  'stripe',
  'print',
  'verify',
  'produced',
  'spoiled',
  'in_doubt',
  'withdrawn',
] as const;
export type JobState = (typeof jobStates)[number];

export const jobTransitions: TransitionTable<JobState> = {
  queued: ['leased', 'withdrawn'],
  leased: ['queued', 'armed', 'withdrawn'],
  armed: ['feeding', 'withdrawn', 'spoiled', 'in_doubt'],
  feeding: ['chip', 'stripe', 'print', 'withdrawn', 'spoiled', 'in_doubt'],
  chip: ['stripe', 'print', 'verify', 'spoiled', 'in_doubt'],
  stripe: ['print', 'verify', 'spoiled', 'in_doubt'],
  print: ['verify', 'spoiled', 'in_doubt'],
  verify: ['produced', 'spoiled', 'in_doubt'],
  produced: [],
  spoiled: [],
  in_doubt: ['produced', 'spoiled', 'withdrawn'],
  withdrawn: [],
};

/** The job state that a stage's start puts a job in. */
export const jobStateOfStage: Readonly<Record<ProductionStage, JobState>> = {
  feed: 'feeding',
  chip: 'chip',
  stripe: 'stripe',
  print: 'print',
  verify: 'verify',
};

/** States in which a station holds the job and may be moving matter: never dispatched elsewhere. */
export const armedJobStates: readonly JobState[] = ['armed', 'feeding', 'chip', 'stripe', 'print', 'verify'];

export const outcomes = ['produced', 'spoiled', 'in_doubt', 'withdrawn'] as const;
/** How a job ended. */
export type Outcome = (typeof outcomes)[number];
