"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const within = (value, low, high) => Math.min(Math.max(value, low), high);
  const clock = (seconds) => {
    const tenths = Math.round(seconds * 10);
    const rest = tenths % 600;
    const minutes = Math.floor(tenths / 600);
    const head = minutes < 60 ? `${minutes}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}`;
    return `${head}:${String(Math.floor(rest / 10)).padStart(2, "0")}.${rest % 10}`;
  };

  // The divider: a native range for keys and screen readers, the whole picture for mouse and finger.
  const pair = document.getElementById("pair");
  const divider = document.getElementById("divider");
  const moveDivider = (percent) => {
    const value = within(percent, 0, 100);
    divider.value = value;
    divider.setAttribute("aria-valuetext", `${Math.round(100 - value)} % of the picture shows after`);
    pair.style.setProperty("--cut", `${value}%`);
  };
  if (pair) {
    const follow = (event) => {
      const box = pair.getBoundingClientRect();
      moveDivider(((event.clientX - box.left) / box.width) * 100);
    };
    pair.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      pair.setPointerCapture(event.pointerId);
      divider.focus({ preventScroll: true, focusVisible: false });
      event.preventDefault();
      follow(event);
    });
    pair.addEventListener("pointermove", (event) => {
      if (pair.hasPointerCapture(event.pointerId)) follow(event);
    });
    divider.addEventListener("input", () => moveDivider(Number(divider.value)));
    moveDivider(50);
  }

  // The chosen moment, whole or only its face.
  const before = document.getElementById("before");
  const after = document.getElementById("after");
  const buttons = all(".moment");
  const firstWhole = before && [before.src, after.src];
  let chosen = 0;
  const show = () => {
    const button = buttons[chosen];
    const face = one('input[name="view"]:checked').value === "face";
    const template = one("template", button.parentElement);
    const whole = template ? all("img", template.content).map((image) => image.src) : firstWhole;
    const [old, fresh] = face ? [one(".b", button).src, one(".a", button).src] : whole;
    before.src = old;
    after.src = fresh;
    pair.classList.toggle("face", face);
    const when = data.length ? `${clock(data.start + data.moments[chosen])}, ` : "";
    document.getElementById("caption").textContent = when + one(".why", button).textContent;
    buttons.forEach((other, k) => other.setAttribute("aria-pressed", String(k === chosen)));
  };
  buttons.forEach((button, k) => {
    button.addEventListener("click", () => {
      chosen = k;
      show();
      if (data.length) moveCursor(data.moments[k]);
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      pair.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
    });
  });
  all('input[name="view"]').forEach((input) => input.addEventListener("change", show));

  // One cursor through all charts: mouse, finger or arrow keys name the values at a time.
  const areas = all(".area");
  let now = 0;
  const nearest = (times, wanted) => {
    let low = 0;
    let high = times.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] < wanted) low = middle + 1;
      else high = middle;
    }
    return low > 0 && wanted - times[low - 1] < times[low] - wanted ? low - 1 : low;
  };
  const named = (chart, value) => (chart.percent ? `${(value * 100).toFixed(0)}%` : value.toFixed(2));
  const readings = (chart, seconds) =>
    chart.lines
      .filter((line) => line.t.length)
      .map((line) => {
        const at = nearest(line.t, seconds);
        const steps = (line.t[line.t.length - 1] - line.t[0]) / Math.max(line.t.length - 1, 1);
        const far = Math.abs(line.t[at] - seconds) > Math.max(3 * steps, data.length / 100);
        return { label: line.label, value: far ? "not there" : named(chart, line.v[at]) };
      });
  const moveCursor = (seconds) => {
    now = within(seconds, 0, data.length);
    areas.forEach((area) => {
      const cursor = one(".cursor", area);
      cursor.hidden = false;
      cursor.style.left = `${(now / data.length) * 100}%`;
      const found = readings(data.charts[area.dataset.chart], now);
      const line = one(`[data-value="${area.dataset.chart}"]`);
      line.textContent = `${clock(data.start + now)} `;
      found.forEach((item, k) => {
        const value = document.createElement("b");
        value.textContent = item.value;
        line.append(k ? ", " : "", `${item.label} `, value);
      });
      area.setAttribute("aria-valuenow", now.toFixed(3));
      area.setAttribute("aria-valuetext", line.textContent);
    });
  };
  areas.forEach((area) => {
    const follow = (event) => {
      const box = area.getBoundingClientRect();
      moveCursor(((event.clientX - box.left) / box.width) * data.length);
    };
    area.addEventListener("pointermove", follow);
    area.addEventListener("pointerdown", follow);
    area.addEventListener("keydown", (event) => {
      const step = data.length / 100;
      const moves = {
        ArrowRight: now + step, ArrowUp: now + step, ArrowLeft: now - step, ArrowDown: now - step,
        PageUp: now + 10 * step, PageDown: now - 10 * step, Home: 0, End: data.length,
      };
      if (!(event.key in moves)) return;
      event.preventDefault();
      moveCursor(moves[event.key]);
    });
  });
})();
