// Answers of the graph API, written by the tests of crates/control (UPDATE_GOLDEN=1). Checked by tsc.
import type { ConfigItem, ConfigObject, ConfigUpdate, List, ListItem, Namespace, Problem } from "../../src/api/types";

export const namespaces: { namespaces: Required<Namespace>[] } = {
  "namespaces": [
    {
      "name": "shop",
      "injection": "enabled",
      "revision": "one",
      "health": {
        "state": "idle",
        "reasons": []
      }
    }
  ]
};

export const services: List<ListItem> = {
  "items": [
    {
      "id": "service/shop/echo",
      "kind": "service",
      "namespace": "shop",
      "name": "echo",
      "labels": {
        "app": "echo"
      },
      "type": "Service",
      "instances": {
        "all": 1,
        "ready": 1
      },
      "health": {
        "state": "idle",
        "reasons": []
      },
      "issues": {
        "errors": 0,
        "warnings": 0
      }
    }
  ]
};

export const workloads: List<Required<ListItem>> = {
  "items": [
    {
      "id": "workload/shop/echo-1",
      "kind": "workload",
      "namespace": "shop",
      "name": "echo-1",
      "labels": {
        "app": "echo"
      },
      "type": "WorkloadEntry",
      "instances": {
        "all": 1,
        "ready": 1
      },
      "sidecars": "none",
      "health": {
        "state": "idle",
        "reasons": []
      },
      "issues": {
        "errors": 0,
        "warnings": 0
      }
    }
  ]
};

export const applications: List<ListItem> = {
  "items": [
    {
      "id": "app/shop/echo",
      "kind": "app",
      "namespace": "shop",
      "name": "echo",
      "labels": {
        "app": "echo"
      },
      "instances": {
        "all": 1,
        "ready": 1
      },
      "sidecars": "none",
      "health": {
        "state": "idle",
        "reasons": []
      },
      "issues": {
        "errors": 0,
        "warnings": 0
      }
    }
  ]
};

export const shortList: Required<List<ListItem>> = {
  "items": [],
  "leftOut": 1
};

export const config: List<Required<ConfigItem>> = {
  "items": [
    {
      "kind": "Gateway",
      "group": "networking.istio.io",
      "namespace": "shop",
      "name": "front",
      "version": "v1",
      "created": 1767225600000,
      "issues": {
        "errors": 0,
        "warnings": 0
      }
    }
  ]
};

export const object: Required<ConfigObject> = {
  "kind": "Gateway",
  "group": "networking.istio.io",
  "namespace": "shop",
  "name": "front",
  "version": "v1",
  "created": 1767225600000,
  "issues": {
    "errors": 1,
    "warnings": 0
  },
  "yaml": "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata:\n  name: front\n  namespace: shop\n  creationTimestamp: \"2026-01-01T00:00:00Z\"\nspec:\n  selector:\n    istio: ingressgateway\n",
  "resourceVersion": "9aa0ebe6ccd6470c",
  "validation": [
    {
      "code": "IST0106",
      "severity": "error",
      "message": "the port is none",
      "path": "spec.servers"
    }
  ],
  "editable": true,
  "actsOn": [],
  "foreseen": {
    "issues": [
      {
        "code": "IST0106",
        "severity": "error",
        "message": "the port is none",
        "path": "spec.servers"
      },
      {
        "code": "IST0106",
        "severity": "warning",
        "message": "it would be none",
        "path": "spec.servers[0]",
        "object": {
          "kind": "Gateway",
          "group": "networking.istio.io",
          "namespace": "shop",
          "name": "other"
        }
      }
    ],
    "leftOut": 1
  }
};

export const update: Required<ConfigUpdate> = {
  "yaml": "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata:\n  name: front\n  namespace: shop\n  creationTimestamp: \"2026-01-01T00:00:00Z\"\nspec:\n  selector:\n    istio: ingressgateway\n",
  "resourceVersion": "9aa0ebe6ccd6470c"
};

export const problem: Required<Problem> = {
  "status": 422,
  "message": "the object is not valid: the port is none",
  "issues": [
    {
      "code": "IST0106",
      "severity": "error",
      "message": "the port is none",
      "path": "spec.servers"
    }
  ]
};
