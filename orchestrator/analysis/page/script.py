"""The page's own script: it draws the plots, fills long tables, and tells of the point nearest to the pointer."""

SCRIPT = """
(async () => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const options = { renderer: "svg", ast: true, config: read("chart-config"),
    actions: { export: true, source: false, compiled: false, editor: false } };
  for (const rows of document.querySelectorAll("script.rows")) {
    rows.closest("details").addEventListener("toggle", () => fill(rows), { once: true });
  }
  for (const box of document.querySelectorAll("[data-chart]")) {
    try {
      const spec = read(box.dataset.chart);
      const { view } = await vegaEmbed(box, spec, { ...options, downloadFileName: box.dataset.chart });
      if (spec.usermeta?.nearest) showNearest(box, view, spec.usermeta.nearest);
    } catch (error) {
      box.textContent = "This plot could not be drawn; the table below has its numbers.";
      console.error(error);
    }
    // Lets the page be painted and read while the plots further down are drawn.
    await new Promise((next) => setTimeout(next));
  }
  document.documentElement.dataset.drawn = "yes";

  // The rows of a long table are made when it is first opened: most readers open few.
  function fill(rows) {
    const table = rows.previousElementSibling, kinds = table.tHead.rows[0].cells;
    table.tBodies[0].append(...JSON.parse(rows.textContent).map((texts) => {
      const row = document.createElement("tr");
      texts.forEach((text, place) => {
        const cell = document.createElement(place ? "td" : "th");
        if (place) cell.className = kinds[place].className; else cell.scope = "row";
        cell.textContent = text;
        row.append(cell);
      });
      return row;
    }));
  }

  function showNearest(box, view, { x, y, shown }) {
    const tooltip = view.tooltip(), svg = box.querySelector("svg.marks");
    const scales = [view.scale("x"), view.scale("y")];
    const dot = document.createElementNS(svg.namespaceURI, "circle");
    dot.setAttribute("class", "nearest");
    dot.setAttribute("r", 4);
    const at = (value, place) => Array.isArray(value) ? value[place] : value;

    // All drawn records with their points, in pixels of the plot; of panels, only the one under the pointer.
    function* points(group, left, top, pointer) {
      for (const mark of group.items) for (const item of mark.items) {
        if (mark.marktype === "group") {
          const [right, down] = [left + (item.x || 0), top + (item.y || 0)];
          const inside = mark.role !== "scope" || pointer[0] >= right - 12 && pointer[0] <= right + item.width + 12
            && pointer[1] >= down - 12 && pointer[1] <= down + item.height + 12;
          if (inside) yield* points(item, right, down, pointer);
        } else if (mark.role === "mark" && x in item.datum && (item.strokeOpacity ?? 1) > 0.3) {
          const xs = [item.datum[x]].flat(), ys = [item.datum[y]].flat();
          for (let place = 0; place < xs.length; place++) {
            if (ys[place] === null) continue;
            yield { datum: item.datum, place, at: [left + scales[0](xs[place]), top + scales[1](ys[place])] };
          }
        }
      }
    }

    svg.addEventListener("pointermove", (event) => {
      const frame = svg.getBoundingClientRect(), [left, top] = view.origin();
      const zoom = svg.viewBox.baseVal.width / frame.width;
      const pointer = [(event.clientX - frame.left) * zoom - left, (event.clientY - frame.top) * zoom - top];
      let best = null, least = 40;
      for (const point of points(view.scenegraph().root.items[0], 0, 0, pointer)) {
        const distance = Math.hypot(point.at[0] - pointer[0], point.at[1] - pointer[1]);
        if (distance < least) [best, least] = [point, distance];
      }
      if (!best) return hide(event);
      dot.setAttribute("cx", best.at[0] + left);
      dot.setAttribute("cy", best.at[1] + top);
      svg.append(dot);
      const value = shown.map(([name, field]) => [name, at(best.datum[field], best.place)]);
      tooltip(null, event, null, Object.fromEntries(value));
    });
    const hide = (event) => { dot.remove(); tooltip(null, event, null, null); };
    svg.addEventListener("pointerleave", hide);
  }
})();
"""
