"""What KubeVirt and OpenShift Virtualization grant, release by release."""
