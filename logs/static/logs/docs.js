// Applies the theme from the admin's toggle, or else the browser's; Swagger UI detects neither.

"use strict";

const theme = localStorage.getItem("theme");
const isDark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
document.documentElement.classList.toggle("dark-mode", isDark);
