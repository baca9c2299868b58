import { render } from 'preact';
import { App } from './app.tsx';
import { connect } from './connection.ts';
import { signInAgain } from './operator.tsx';
import { pathOf, update } from './store.ts';

addEventListener('hashchange', () => {
  const isPage = !location.hash.startsWith('#main');
  if (isPage) update({ path: pathOf(location.hash) });
  document.getElementById('main')?.focus();
  if (isPage) scrollTo(0, 0);
});
signInAgain();
connect();
const page = document.getElementById('page');
if (page !== null) {
  page.replaceChildren();
  render(<App />, page);
}
