/** Medians and 95th percentiles, and the machine they were taken on. */
import { cpus, release, totalmem } from 'node:os';

export interface Measurement {
  readonly name: string;
  readonly unit: 'ms';
  readonly count: number;
  readonly median: number;
  readonly p95: number;
}

/** A rate, and the rate of the same work done without us. */
export interface RateMeasurement {
  readonly name: string;
  readonly unit: '1/s';
  readonly count: number;
  readonly median: number;
  /** What the work was done with instead. */
  readonly raw: string;
  readonly rawMedian: number;
  /** median / rawMedian */
  readonly ratio: number;
}

/** The value below which a `share` of the sorted samples lies. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1);
  const value = sorted[Math.max(0, at)];
  if (value === undefined) throw new RangeError('a quantile needs at least one sample');
  return value;
}

export function summarize(name: string, samples: readonly number[]): Measurement {
  const round = (value: number): number => Math.round(value * 1000) / 1000;
  return {
    name,
    unit: 'ms',
    count: samples.length,
    median: round(quantile(samples, 0.5)),
    p95: round(quantile(samples, 0.95)),
  };
}

/** Runs `work` `count` times after `warmUp` unmeasured runs; each sample is one run in milliseconds. */
export async function measure(
  name: string,
  count: number,
  work: (run: number) => Promise<unknown>,
  warmUp = 2,
): Promise<Measurement> {
  for (let run = 0; run < warmUp; run++) await work(run);
  const samples: number[] = [];
  for (let run = 0; run < count; run++) {
    const from = performance.now();
    await work(warmUp + run);
    samples.push(performance.now() - from);
  }
  return summarize(name, samples);
}

/** Median rate of `work`, one at a time: `count` samples of `batch` runs each, after one sample unmeasured. */
export async function measureRate(
  work: () => unknown,
  count: number,
  batch: number,
): Promise<{ readonly perSecond: number; readonly count: number }> {
  const samples: number[] = [];
  for (let sample = -1; sample < count; sample++) {
    const from = performance.now();
    for (let run = 0; run < batch; run++) await work();
    if (sample >= 0) samples.push(performance.now() - from);
  }
  const perSecond = (batch * 1000) / quantile(samples, 0.5);
  return { perSecond: Math.round(perSecond * 10) / 10, count: count * batch };
}

/** What these figures were taken on; figures of other machines are not comparable. */
export function machine(): string {
  const model = cpus()[0]?.model ?? 'unknown processor';
  const memoryGiB = Math.round(totalmem() / 2 ** 30);
  return `${model.trim()}, ${cpus().length} cores, ${memoryGiB} GiB, Linux ${release()}, Node ${process.version}`;
}
