
const form = document.querySelector("form");
const answer = document.getElementById("answer");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const response = await fetch("/predict", { method: "POST", body: document.getElementById("row").value });
    const content = await response.json();
    answer.textContent = response.ok ? JSON.stringify(content.predictions, null, 2) : content.error;
    answer.className = response.ok ? "" : "bad";
  } catch (error) {
    answer.textContent = "The server does not answer: " + error.message;
    answer.className = "bad";
  }
  answer.hidden = false;
  button.disabled = false;
});
