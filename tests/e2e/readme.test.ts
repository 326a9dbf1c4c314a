/**
 * Every command in README.md and README.ja.md, run as it stands there.
 *
 * A command that nobody runs here makes the first test fail, so the READMEs cannot promise what was not tried.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';

const folder = mkdtempSync(join(tmpdir(), 'cardwright-readme-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});
const environment = { ...process.env, CARDWRIGHT_DATA: join(folder, 'data') };

function commandsOf(file: string): string[] {
  const blocks = readFileSync(file, 'utf8').matchAll(/```sh\n([\s\S]*?)```/g);
  return [...blocks].flatMap(([, block = '']) => block.trim().split('\n'));
}

function run(command: string): { status: number | null; stdout: string; stderr: string } {
  return spawnSync('sh', ['-c', command], { encoding: 'utf8', env: environment, timeout: 300_000 });
}

interface DemoAnswer {
  readonly status: string;
  readonly detailsStatus: string;
  readonly files: Readonly<Record<string, string | null>>;
}

const demoJson = 'npm run demo -- --json';
const issueLatin = 'npx cardwright card issue --name "TARO YAMADA"';
const issueJapanese = 'npx cardwright card issue --name "TARO YAMADA" --second-name "山田 太郎"';
const issueVsdc = 'npx cardwright card issue --name "TARO YAMADA" --product DEBIT_VSDC';
const checkProduct = 'npx cardwright profile check packages/dataprep/products/debit-vsdc.json';
const runTerminal = 'npx node examples/run-terminal.ts';
const vaultStatus = 'npx cardwright vault status';
const selfTests = ['software', 'softhsm', 'nss'].map(
  (adapter) => `npm run vault:selftest -- --adapter ${adapter}`,
);
const plainDemos = ['npm run demo', 'npm run demo -- --secure-channel SCP02'];
const runHere = [
  ...plainDemos,
  demoJson,
  'npm run demo -- --list-faults',
  'npm run demo -- --fault chip-mute',
  'npm start',
  issueLatin,
  issueJapanese,
  'npm run reset',
  'npm run bench',
  issueVsdc,
  checkProduct,
  runTerminal,
  vaultStatus,
  ...selfTests,
];
/** `npm ci` has run or nothing would be here, and `npm test` is running now. */
const runningNow = ['npm ci', 'npm test'];

test('both READMEs give the same commands, and each of them is run by CI', () => {
  const commands = commandsOf('README.md');
  assert.deepEqual(commandsOf('README.ja.md'), commands);
  assert.deepEqual(new Set(commands), new Set([...runningNow, ...runHere]));
});

for (const command of plainDemos) {
  test(`${command} makes a card within a minute and says where its files are`, () => {
    const from = Date.now();
    const { status, stdout, stderr } = run(command);
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /PRODUCED {2}CARD_PROD_DONE/);
    for (const file of ['front.png', 'back.png', 'chip-report.json', 'timeline.json']) {
      const path = stdout.split('\n').find((text) => text.endsWith(file));
      assert.ok(path !== undefined && existsSync(path.trim().split(/\s+/)[1] ?? ''), file);
    }
    assert.ok(Date.now() - from < 60_000, 'within a minute');
  });
}

test(`${demoJson} prints one JSON object`, () => {
  const { status, stdout } = run(demoJson.replace('npm run', 'npm run --silent'));
  assert.equal(status, 0);
  const answer = JSON.parse(stdout) as DemoAnswer & {
    notifications: unknown[];
    cardId: string;
    operationId: string;
  };
  assert.equal(answer.status, 'SUCCESSFUL');
  assert.equal(answer.detailsStatus, 'CARD_PROD_DONE');
  assert.equal(answer.notifications.length, 3);
  for (const name of ['front', 'back', 'chipReport', 'timeline'])
    assert.ok(existsSync(answer.files[name] ?? ''), name);
  assert.ok(answer.cardId !== '' && answer.operationId !== '');
});

test('a fault ends with CARD_PROD_EXCEPTION and exit code 1, and the faults are listed', () => {
  const failed = run('npm run demo -- --fault chip-mute');
  assert.equal(failed.status, 1, failed.stderr);
  assert.match(failed.stdout, /NOT PRODUCED {2}CARD_PROD_EXCEPTION \(CHIP_FAIL\)/);
  assert.match(run('npm run demo -- --list-faults').stdout, /^chip-mute\s+\S/m);
  assert.equal(run('npm run demo -- --fault no-such-fault').status, 2);
});

function started(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const { stdout } = child;
    assert.ok(stdout !== null);
    createInterface({ input: stdout }).on('line', (text) => {
      if (text.startsWith('Stop with')) resolve();
    });
    child.once('exit', (code) => {
      reject(new Error(`npm start ended with ${String(code)}`));
    });
  });
}

test('npm start stays up, takes orders from a second terminal, and reset removes everything', async () => {
  const child = spawn('npm', ['start'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    await started(child);
    for (const command of [issueLatin, issueJapanese, issueVsdc]) {
      const { status, stdout, stderr } = run(command);
      assert.equal(status, 0, stdout + stderr);
      assert.match(stdout, /CARD_PROD_DONE/);
    }
    const status = run(vaultStatus);
    assert.match(status.stdout, /^key adapter +software$/m, status.stderr);
    assert.notEqual(run('npm run reset').status, 0, 'reset refuses while the system is running');
  } finally {
    // To the whole group, as Ctrl+C in a terminal would.
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGINT');
    await ended;
  }
  assert.equal(run('npm run reset').status, 0);
  assert.equal(existsSync(environment.CARDWRIGHT_DATA), false);
});

test(`${checkProduct} shows the card, and ${runTerminal} accepts one`, () => {
  const checked = run(checkProduct);
  assert.equal(checked.status, 0, checked.stderr);
  assert.match(checked.stdout, /^debit-vsdc\.json is sound/m);
  assert.match(checked.stdout, /^ {2}8010 .* reference PIN/m);
  const terminal = run(runTerminal);
  assert.equal(terminal.status, 0, terminal.stderr);
  assert.match(terminal.stdout, /the issuer agrees$/m);
});

for (const command of selfTests) {
  test(`${command} proves every operation and says where key bytes are seen`, () => {
    const { status, stdout, stderr } = run(command);
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^operation +probed +result +key bytes$/m);
    const [, passed, all] = /^(\d+) of (\d+) operations passed$/m.exec(stdout) ?? [];
    assert.ok(passed !== undefined && Number(passed) >= 28 && passed === all, stdout);
    const { status: jsonStatus, stdout: json } = run(
      `${command.replace('npm run', 'npm run --silent')} --json`,
    );
    assert.equal(jsonStatus, 0);
    const { operations } = JSON.parse(json) as { operations: { keyBytes: string }[] };
    const inside = operations.filter(({ keyBytes }) => keyBytes === 'inside').length;
    assert.ok(command.endsWith('software') ? inside === 0 : inside >= 20, String(inside));
  });
}

test('the self-test refuses an adapter that there is not', () => {
  assert.equal(run('npm run vault:selftest -- --adapter luna').status, 2);
});

test('npm run bench prints medians and 95th percentiles with the machine', () => {
  const { status, stdout, stderr } = run('npm run bench');
  assert.equal(status, 0, stderr);
  assert.match(stdout, /cores, \d+ GiB/);
  assert.ok((stdout.match(/median +[\d.]+ ms {3}p95/g) ?? []).length >= 9, stdout);
  // Four kinds of work for each of three adapters.
  assert.equal((stdout.match(/ \/s {3}(raw token|node:crypto) .* ratio [\d.]+/g) ?? []).length, 12, stdout);
});
