import { mount } from 'svelte';
import './ui/styles/tokens.css';
import './ui/styles/base.css';
import './ui/styles/controls.css';
import './ui/styles/verdicts.css';
import App from './ui/App.svelte';
import { restorePrefs } from './ui/prefs.svelte.ts';
import { lab } from './app/lab.svelte.ts';

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no element with the id "app".');

void lab.start();
await restorePrefs();
mount(App, { target });
