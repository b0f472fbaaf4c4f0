// Requests to the server, with the token that a person gave; kept for this tab alone.
const KEY = "token";

export const remember = (token) => sessionStorage.setItem(KEY, token);

export const token = () => sessionStorage.getItem(KEY);

function headers() {
  return token() ? { Authorization: `Bearer ${token()}` } : {};
}

export async function get(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: headers() });
  } catch {
    throw new Error("The server cannot be reached; is it still running?");
  }
  if (response.status === 401) {
    const wrong = sessionStorage.getItem(KEY) !== null;
    sessionStorage.removeItem(KEY);
    document.getElementById("door").hidden = false;
    document.getElementById("token").focus();
    document.getElementById("status").textContent = wrong ? "That is not the server's token." : "";
    return null;
  }
  if (!response.ok) {
    const said = await response.json().catch(() => ({}));
    const after = response.headers.get("Retry-After");
    throw new Error((said.detail || `The server answered ${response.status}`) +
      (after ? ` (in ${after} s)` : ""));
  }
  return response;
}

export async function ask(path, options) {
  const response = await get(path, options);
  return response && response.json();
}
