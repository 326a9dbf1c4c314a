/** The import walls of DESIGN: who may know what. tests/tidy/walls.test.ts also counts the modules seen. */
const inPackage = (names) => `^(packages|apps)/(${names})/src/`;
const forbid = (name, from, to, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { path: to },
});

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-unresolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^node:' },
    },
    {
      name: 'undeclared-dependency',
      comment: 'npm hoisting lets it run; the next clone may not',
      severity: 'error',
      from: { path: '^(packages|apps)/[^/]+/src/' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'pure-imports-nothing',
      comment: 'domain and emv know no other package',
      severity: 'error',
      from: { path: inPackage('domain|emv') },
      to: { path: '^(packages|apps)/', pathNot: '^packages/(domain|emv)/' },
    },
    forbid(
      'domain-and-emv-know-not-each-other',
      inPackage('domain'),
      inPackage('emv'),
      'domain is pure words and rules',
    ),
    forbid('emv-knows-not-domain', inPackage('emv'), inPackage('domain'), 'emv is used alone by others'),
    forbid(
      'agent-holds-no-keys',
      inPackage('agent|devices|artwork'),
      inPackage('keys|dataprep|personalization|card'),
      'nothing to steal in the branch',
    ),
    forbid(
      'server-sees-no-card-number',
      inPackage('server'),
      inPackage('keys|dataprep|personalization|card|emv'),
      'only the vault decrypts',
    ),
    {
      name: 'issuer-uses-the-published-client-only',
      severity: 'error',
      from: { path: inPackage('issuer') },
      to: { path: '^(packages|apps)/', pathNot: ['^packages/issuer-sdk/', '^apps/issuer/'] },
    },
    {
      name: 'packages-never-import-apps',
      severity: 'error',
      from: { path: '^packages/' },
      to: { path: '^apps/' },
    },
    {
      name: 'apps-never-import-apps',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    {
      name: 'simulator-is-hardware',
      comment: 'the simulator shares no code with the software it is tested against, but the card',
      severity: 'error',
      from: { path: inPackage('simulator') },
      to: { path: '^packages/', pathNot: '^packages/(card|runtime)/' },
    },
    {
      name: 'tests-are-not-imported',
      severity: 'error',
      from: { path: '/src/' },
      to: { path: '(/test/|^tests/)' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(node_modules|\\.cardwright|coverage)/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
