// Dark where the admin's toggle says so, or else the browser; Swagger UI waits for somebody to tell it.

"use strict";

const theme = localStorage.getItem("theme");
const isDark = theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
document.documentElement.classList.toggle("dark-mode", isDark);
