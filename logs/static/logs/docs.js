// Applies the theme of the admin's toggle, or the browser's; Swagger UI does not detect either.

"use strict";

const theme = localStorage.getItem("theme");
const isDark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
document.documentElement.classList.toggle("dark-mode", isDark);
