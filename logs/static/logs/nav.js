// Scrolls the navigation to the entry of the current page. On phones, the entry may be outside the window.
"use strict";

{
  const current = document.querySelector("#site-nav [aria-current]");
  // Not scrollIntoView(), which would also scroll the page.
  if (current) current.closest("ul").scrollLeft = current.offsetLeft - current.closest("ul").offsetLeft;
}
