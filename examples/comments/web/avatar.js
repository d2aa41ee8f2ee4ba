// Initials on a colour that follows from the user's id. All colours carry white text (4.5:1).

const TINTS = ['#0f766e', '#c2410c', '#0e7490', '#a21caf', '#6d28d9', '#4d7c0f', '#be123c'];

export function paintAvatar(element, user) {
  element.textContent = user.name
    .split(/\s+/)
    .map((word) => word[0])
    .slice(0, 2)
    .join('')
    .toUpperCase();
  element.style.setProperty('--tint', TINTS[user.id % TINTS.length]);
}

export function newAvatar(user) {
  const element = document.createElement('span');
  element.className = 'avatar';
  element.setAttribute('aria-hidden', 'true');
  paintAvatar(element, user);
  return element;
}
