"use strict";

// A picture from the camera, where the browser has one and the page came from a secure place (this machine, or TLS).
// On others the phone's own file dialogue offers its camera.

let stream = null;

function closeCamera() {
  if (stream) for (const track of stream.getTracks()) track.stop();
  stream = null;
  byId("video").srcObject = null;
  byId("viewfinder").hidden = true;
  byId("camera").hidden = false;
}

async function openCamera() {
  byId("error").hidden = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  } catch (error) {
    fail(new Error(error.name === "NotAllowedError" ? "The camera was not allowed." : "There is no camera to use."));
    return;
  }
  byId("video").srcObject = stream;
  byId("camera").hidden = true;
  byId("viewfinder").hidden = false;
  await byId("video").play();
  byId("shoot").focus();
}

function takePicture() {
  const video = byId("video");
  if (!video.videoWidth) return; // no picture yet
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((picture) => {
    closeCamera();
    byId("camera").focus();
    ask(picture);
  }, "image/jpeg", 0.92);
}

if (navigator.mediaDevices && navigator.mediaDevices.getUserMedia) byId("camera").hidden = false;
byId("camera").addEventListener("click", openCamera);
byId("shoot").addEventListener("click", takePicture);
byId("stopcamera").addEventListener("click", closeCamera);
