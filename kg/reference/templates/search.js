const wanted = document.getElementById("wanted"), found = document.getElementById("found");
const rows = Array.from(document.getElementById("results").children, (row) => [row, row.textContent.toLowerCase()]);
function show() {
  const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const [row, text] of rows) {
    row.hidden = !words.every((word) => text.includes(word));
    count += !row.hidden;
  }
  found.textContent = count + " of " + rows.length + " terms";
  history.replaceState(null, "", wanted.value ? "#" + encodeURIComponent(wanted.value) : location.pathname);
}
wanted.hidden = false;
wanted.value = decodeURIComponent(location.hash.slice(1));
wanted.addEventListener("input", show);
show();
wanted.focus();
