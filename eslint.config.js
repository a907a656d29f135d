import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

/** Text that came from a model, a file or the address bar must never be parsed as HTML. */
const noHtmlFromText = [
  {
    selector: 'AssignmentExpression > MemberExpression.left[property.name=/^(inner|outer)HTML$/]',
    message: 'Assigning innerHTML parses text as HTML: use textContent or elements.',
  },
  {
    selector:
      'CallExpression > MemberExpression.callee[property.name=/^(insertAdjacentHTML|setHTMLUnsafe)$/]',
    message: 'This parses text as HTML: use textContent or elements.',
  },
];

export default defineConfig(
  { ignores: ['dist/', 'node_modules/', 'public/', 'test-results/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser, ...globals.node } },
    rules: {
      'no-undef': 'off', // TypeScript's own check knows WebGPU's names too
      'no-restricted-syntax': ['error', ...noHtmlFromText],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      // The index of a typed array inside its own bounds is the everyday case in numeric code, and `!` says so.
      '@typescript-eslint/no-non-null-assertion': 'off',
      'svelte/no-at-html-tags': 'error',
      // It also flags the local Map of a pure computation, where reactivity would only cost.
      'svelte/prefer-svelte-reactivity': 'off',
    },
  },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: {
      parserOptions: { parser: ts.parser, extraFileExtensions: ['.svelte'], svelteConfig },
    },
  },
  {
    // Everything below the page runs in a worker and in Node as well.
    files: ['src/{core,world,data,files,hub,gpu,kernels,model,train,recipes,eval,reference}/**'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...['window', 'document', 'localStorage', 'sessionStorage', 'process', 'Buffer'].map((name) => ({
          name,
          message:
            'This code runs in the page, in a worker and in Node: it knows no DOM and no Node globals.',
        })),
      ],
    },
  },
);
