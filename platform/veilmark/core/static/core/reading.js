/* Keys for the blinded reading page. Without this file the form works as any form does. */
"use strict";
const CHOICES = {
  r: ["judged_synthetic", "no"],
  s: ["judged_synthetic", "yes"],
  1: ["realism", "1"],
  2: ["realism", "2"],
  3: ["realism", "3"],
  4: ["realism", "4"],
  5: ["realism", "5"],
};
document.addEventListener("keydown", (event) => {
  const choice = CHOICES[event.key.toLowerCase()];
  if (!choice || event.ctrlKey || event.metaKey || event.altKey) return;
  const radio = document.querySelector(`input[name="${choice[0]}"][value="${choice[1]}"]`);
  radio.checked = true;
  radio.focus();
});
