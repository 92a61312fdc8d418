// Filters, values under the pointer, and folded parts opened for printing. The page is complete without it.
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  // Filters: one task, right or wrong. Cards stay in the order drawn.
  for (const bar of document.querySelectorAll(".filters")) {
    const cards = [...document.querySelectorAll(".cards .card")];
    const choice = { task: "", outcome: "" };
    const show = () => {
      let shown = 0;
      for (const card of cards) {
        card.hidden = !["task", "outcome"].every((key) => !choice[key] || card.dataset[key] === choice[key]);
        shown += !card.hidden;
      }
      bar.querySelector(".shown").textContent = `${shown} of ${cards.length} shown`;
    };
    bar.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      choice[button.dataset.key] = button.dataset.value;
      for (const other of bar.querySelectorAll(`[data-key="${button.dataset.key}"]`))
        other.setAttribute("aria-pressed", String(other === button));
      show();
    });
    show();
  }

  // Values under the pointer: read back from the drawn curve and the axes' ranges.
  const hint = document.getElementById("hint");
  const digits = (value) => (value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : String(+value.toPrecision(3)));
  for (const chart of document.querySelectorAll("svg[data-plot]")) {
    const [left, right, top, bottom] = chart.dataset.plot.split(",").map(Number);
    const [x0, x1, unit] = chart.dataset.x.split(",");
    const [y0, y1, kind] = chart.dataset.y.split(",");
    const title = chart.querySelector("title");
    chart.setAttribute("aria-label", title.textContent);
    title.remove(); // else the browser's own hint covers ours
    const curves = [];
    for (const line of chart.querySelectorAll("polyline.curve")) {
      const points = line.getAttribute("points").split(" ").map((pair) => pair.split(",").map(Number));
      const known = curves.find((curve) => curve.name === line.dataset.name); // a curve is one piece a stage
      known ? known.points.push(...points) : curves.push({ name: line.dataset.name, points });
    }
    if (!curves.length) continue;
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("y1", top);
    cursor.setAttribute("y2", bottom);
    const valueAt = (y) => {
      const share = (bottom - y) / (bottom - top);
      return kind === "log" ? y0 * (y1 / y0) ** share : +y0 + share * (y1 - y0);
    };
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
      if (x < left || x > right) return leave();
      const near = curves.map(({ name, points }) => [
        name,
        points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best)),
      ]);
      const at = near[0][1][0];
      cursor.setAttribute("x1", at);
      cursor.setAttribute("x2", at);
      chart.append(cursor);
      const step = Math.round(+x0 + ((at - left) / (right - left)) * (x1 - x0));
      hint.textContent = near.map(([name, point]) => `${name} ${digits(valueAt(point[1]))}`).join("\n") + `\n${unit} ${step}`;
      hint.style.display = "block";
      const wide = hint.offsetWidth + 14;
      hint.style.left = `${event.clientX + wide > innerWidth ? event.clientX - wide : event.clientX + 14}px`;
      hint.style.top = `${event.clientY + 14}px`;
    });
    const leave = () => {
      cursor.remove();
      hint.style.display = "none";
    };
    chart.addEventListener("pointerleave", leave);
  }

  const opened = [];
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details.print:not([open])")) opened.push(fold), (fold.open = true);
  });
  addEventListener("afterprint", () => opened.splice(0).forEach((fold) => (fold.open = false)));
})();
